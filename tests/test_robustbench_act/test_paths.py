"""The home folder and hidden files, wherever there are files."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image

from robustbench_act.checkpoints import find_checkpoints, load_checkpoint
from robustbench_act.datasets import load_dataset, pair_corrupted
from robustbench_act.errors import InputError
from robustbench_act.paths import expand
from robustbench_act.run import load_run
from tests.build_run import Builder

APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "


def hide(folder: Path) -> None:
    """Put beside each file what macOS, Jupyter and network drives put there."""
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        (path.parent / f"._{path.name}").write_bytes(APPLE_DOUBLE)
        for place in (folder / "__MACOSX", path.parent / ".ipynb_checkpoints", path.parent / "@eaDir"):
            place.mkdir(exist_ok=True)
            shutil.copy(path, place / path.name)


def test_checkpoints(tmp_path: Path) -> None:
    (tmp_path / ".cache" / "nets").mkdir(parents=True)
    paths = [tmp_path / ".cache" / "nets" / f"{name}.pth" for name in ("relu", "silu")]
    for path in paths:
        torch.save({}, path)
    hide(tmp_path / ".cache")
    assert find_checkpoints([tmp_path / ".cache"]) == paths
    assert find_checkpoints([tmp_path / ".cache" / "*" / "*.pth"]) == paths  # the user named .cache
    assert find_checkpoints([tmp_path / ".cache" / "**" / "*u.pth"]) == paths
    copy = tmp_path / ".cache" / "nets" / ".ipynb_checkpoints" / "relu.pth"
    assert find_checkpoints([copy]) == find_checkpoints([copy.parent / "r*"]) == [copy]
    with pytest.raises(InputError, match="nothing is there"):
        find_checkpoints([tmp_path / "*" / "*" / "relu.pth"])


def test_pictures_and_their_corrupted_versions(tmp_path: Path) -> None:
    clean, corrupted = tmp_path / "clean", tmp_path / "corrupted"
    for of in ("cat", "dog"):
        for folder in (clean, corrupted / "fog" / "1"):
            (folder / of).mkdir(parents=True)
            Image.new("RGB", (32, 32)).save(folder / of / f"{of}.png")
    hide(clean)
    hide(corrupted)
    data = load_dataset(f"folder:{clean}")
    assert data.classes == ("cat", "dog")
    assert len(data) == 2
    stored = pair_corrupted(data, corrupted).stored
    assert stored is not None
    assert stored.corruptions == ("fog",)


def test_corrupted_arrays(tmp_path: Path) -> None:
    for name in ("images", "fog", "labels"):
        array = np.zeros(5, np.int64) if name == "labels" else np.zeros((5, 8, 8, 3), np.uint8)
        np.save(tmp_path / f"{name}.npy", array)
    data = load_dataset(f"npy:{tmp_path}")
    (tmp_path / "corrupted").mkdir()
    np.save(tmp_path / "corrupted" / "fog.npy", np.zeros((25, 8, 8, 3), np.uint8))
    np.save(tmp_path / "corrupted" / "labels.npy", np.zeros(25, np.int64))
    hide(tmp_path / "corrupted")
    stored = pair_corrupted(data, tmp_path / "corrupted").stored
    assert stored is not None
    assert stored.corruptions == ("fog",)


def test_runs(tmp_path: Path) -> None:
    folder = Builder().write(tmp_path / "run")
    whole = load_run(folder)
    hide(folder)
    again = load_run(folder)
    assert again.cells.equals(whole.cells)
    assert set(again.samples) == set(whole.samples)


def test_the_home_folder_in_every_path(
    actrobust: Callable[..., Result], tmp_path: Path, checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shells leave ~ alone in folder:~/photos, --out=~/runs and "~/nets/*"; so do TOML files."""
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    shutil.copytree(checkpoints, home / "nets")
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
    np.savez(home / "mine.npz", images=images, labels=np.arange(20) % 10)
    (home / "study.toml").write_text(
        'dataset = "npz:~/mine.npz"\nout = "~/run"\nsuite = ["light"]\nseverity = [3]\nlimit = 5\n'
        '[[checkpoint]]\npath = "~/nets/relu_1.safetensors"\n'
    )
    result = actrobust("evaluate", "--manifest", "~/study.toml", "--report", "none", "--no-probes")
    assert result.exit_code == 0, result.output
    assert load_run("~/run").path == home / "run"
    assert actrobust("table", "~/run", "--out", "~/table.csv", "--format", "csv").exit_code == 0
    assert (home / "table.csv").is_file()
    assert len(find_checkpoints(["~/nets"])) == 2 * len(find_checkpoints(["~/nets/relu_*"])) == 4
    assert load_checkpoint("~/nets/relu_1.safetensors").path == home / "nets" / "relu_1.safetensors"
    assert not list(tmp_path.glob("**/~"))


def test_a_home_that_nobody_has() -> None:
    with pytest.raises(InputError, match="home folder"):
        expand("~nobody-of-this-name/nets")
