"""Corrupted data sets on disk: the pixels of an evaluation, whole files, resumable."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import corruptions
from corruptions import get_suite
from robustbench_act import generation
from robustbench_act.cli import main
from robustbench_act.datasets import Dataset, load_dataset
from robustbench_act.errors import InputError
from robustbench_act.generation import Generation, generate


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Return 30 embedded images."""
    return load_dataset("mnist-1k").subset(30)


def noise(data: Dataset, layout: generation.Layout = "npy", seed: int = 0) -> Generation:
    return Generation(data, get_suite("noise").with_severities([2, 5]), seed=seed, layout=layout)


def test_arrays_are_laid_out_as_cifar_c(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "CHUNK", 7)
    out = generate(noise(data, seed=3), tmp_path / "out")
    names = ["gaussian_noise", "impulse_noise", "shot_noise", "speckle_noise"]
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["generated.json", "labels.npy", *(f"{name}.npy" for name in names)]
    )
    labels = np.load(out / "labels.npy")
    assert labels.tolist() == data.known_labels.tolist() * 2
    for name in names:
        array = np.load(out / f"{name}.npy")
        assert array.shape == (60, 28, 28, 1)
        assert array.dtype == np.uint8
        for part, severity in ((array[:30], 2), (array[30:], 5)):
            pixels = corruptions.corrupt(data.images, name, severity=severity, seed=3, ids=data.ids)
            assert np.array_equal(part[..., 0], pixels[:, 0].numpy())
    facts = json.loads((out / "generated.json").read_text())
    assert facts["suite"]["severities"] == [2, 5]
    assert facts["dataset_digest"] == data.digest


def test_folders_are_laid_out_as_imagenet_c(data: Dataset, tmp_path: Path) -> None:
    out = generate(noise(data, "folders"), tmp_path / "out")
    files = sorted((out / "shot_noise" / "5").rglob("*.png"))
    assert len(files) == 30
    pixels = corruptions.corrupt(data.images, "shot_noise", severity=5, ids=data.ids)
    for file in files:
        row = data.ids.tolist().index(int(file.stem))
        assert data.classes[data.known_labels[row]] == file.parent.name
        with Image.open(file) as image:
            assert np.array_equal(np.asarray(image), pixels[row, 0].numpy())


@pytest.mark.parametrize("layout", ["npy", "folders"])
def test_what_is_there_is_kept(layout: generation.Layout, data: Dataset, tmp_path: Path) -> None:
    done: list[int] = []
    out = generate(noise(data, layout), tmp_path / "out")
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    generate(noise(data, layout), out, on_images=done.append)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == stamps
    assert sum(done) == 8 * 30


@pytest.mark.parametrize("layout", ["npy", "folders"])
def test_an_interrupted_call_goes_on(layout: generation.Layout, data: Dataset, tmp_path: Path) -> None:
    def stop(count: int) -> None:
        seen.append(count)
        if len(seen) == 4:
            raise KeyboardInterrupt

    seen: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        generate(noise(data, layout), tmp_path / "a", on_images=stop)
    generate(noise(data, layout), tmp_path / "a")
    generate(noise(data, layout), tmp_path / "b")
    a, b = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "a", tmp_path / "b")
    )
    assert a == b


def test_something_else_is_left_alone(data: Dataset, tmp_path: Path) -> None:
    generate(noise(data), tmp_path / "out")
    with pytest.raises(InputError, match="holds a different generated data set"):
        generate(noise(data, seed=1), tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious.txt").write_text("x")
    with pytest.raises(InputError, match="is not a generated data set"):
        generate(noise(data), tmp_path / "mine")


def test_shifts_cannot_be_stored(data: Dataset) -> None:
    with pytest.raises(InputError, match="shift_gaussian acts on the normalised input"):
        Generation(data, get_suite("shift"))


def test_a_full_disk_is_seen_before(data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Generation, "size", 10**18)
    with pytest.raises(InputError, match="needs 1,000,000,000,000,000,000 bytes"):
        generate(noise(data), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_command_line(tmp_path: Path) -> None:
    out = tmp_path / "digits-c"
    arguments = [
        "generate",
        "digits",
        "--suite",
        "light",
        "--severity",
        "1,3",
        "--limit",
        "20",
        "--out",
        str(out),
    ]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "4 cells x 20 images of digits, 0.0 MB" in result.stderr
    assert np.load(out / "contrast.npy").shape == (40, 8, 8, 1)
    wrong = CliRunner().invoke(main, [*arguments[:3], "shift", *arguments[4:]])
    assert wrong.exit_code == 2
    assert "acts on the normalised input" in wrong.stderr


@pytest.mark.slow
def test_a_killed_process_goes_on(tmp_path: Path) -> None:
    """SIGKILL in the middle leaves no half file under a final name, and the next call completes the set."""
    command = [sys.executable, "-m", "robustbench_act.cli", "generate", "mnist-1k", "--suite", "c19"]
    out = tmp_path / "out"
    process = subprocess.Popen([*command, "--out", str(out)], stderr=subprocess.DEVNULL)
    while len(list(out.glob("*.npy"))) < 4:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for path in out.glob("*.npy"):
        assert len(np.load(path)) == 5000
    subprocess.run([*command, "--out", str(out)], check=True, stderr=subprocess.DEVNULL)
    assert len(list(out.glob("*.npy"))) == 20
