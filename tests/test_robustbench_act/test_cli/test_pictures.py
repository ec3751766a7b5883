"""Pictures at the command line: how they are cut to size, and which cannot be read."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from click.testing import Result

from robustbench_act.run import load_run
from tests.references.layouts import picture

from .conftest import FLAGS


def test_imagenet_c_end_to_end(actrobust: Callable[..., Result], network: Path, imagenet: Path) -> None:
    flags = ("evaluate", network, *FLAGS, "--report", "html", "--dataset", f"imagenet-c:{imagenet}")
    result = actrobust(*flags, "--out", "a")
    assert result.exit_code == 0, result.output
    assert Path("a/report.html").stat().st_size > 0
    run = load_run("a")
    view = run.info.dataset.view or {}
    assert view["what"] == "resized to 256, centre of 224 x 224, bilinear"
    assert view["source"] == "usual for ImageNet"
    assert run.info.dataset.size == (3, 224, 224)
    assert [(suite.source, suite.codec) for suite in run.info.suites] == [("files", "jpeg")]
    assert set(run.cells["table"]) == {"", "jpeg files"}
    assert "jpeg files" not in set(run.cells.query("severity == 0")["table"])
    both = ("--suite", "noise", "--severity", 2)
    result = actrobust(*flags, "--out", "b", *both)
    assert result.exit_code == 0, result.output
    cells = load_run("b").cells
    assert set(cells["table"]) == {"", "224", "jpeg files"}
    shot = cells[cells["corruption"] == "shot_noise"]
    assert sorted(shot["table"]) == ["224", "jpeg files"]
    assert shot["pixels"].nunique() == 2


def test_sizes_by_flags(actrobust: Callable[..., Result], network: Path, imagenet: Path) -> None:
    flags = ("--dataset", f"imagenet:{imagenet}", "--suite", "light", "--severity", "3")
    sized = ("--resize", 40, "--crop", 32, "--interpolation", "bicubic", "--workers", 3)
    result = actrobust("evaluate", network, *FLAGS, *flags, *sized, "--out", "a")
    assert result.exit_code == 0, result.output
    info = load_run("a").info
    assert info.dataset.view == {
        "what": "resized to 40, centre of 32 x 32, bicubic",
        "resize": 40,
        "crop": 32,
        "interpolation": "bicubic",
        "source": "as given",
    }
    assert info.checkpoints[0].input_size == (3, 32, 32)
    other = actrobust("evaluate", network, *FLAGS, *flags, "--out", "a")
    assert other.exit_code == 2
    assert "holds a run with a different plan (dataset" in other.stderr


def test_flags_that_need_others(actrobust: Callable[..., Result], network: Path, imagenet: Path) -> None:
    flags = ("evaluate", network, *FLAGS, "--dataset", f"imagenet:{imagenet}", "--out", "x")
    for more, message in (
        (
            ("--crop", 8, "--dataset", "digits", "--interpolation", "bicubic"),
            "--interpolation needs --resize.",
        ),
        (("--resize-corrupted",), "--resize-corrupted needs --resize and --crop."),
        (("--resize", 8, "--interpolation", "cubic"), "Did you mean 'bicubic'"),
        (("--crop", 300), "cannot be read: "),
        (
            ("--input-size", "3,32,32"),
            "expects images of (C, H, W) = (3, 32, 32), got (3, 224, 224); show them with --resize 32",
        ),
    ):
        result = actrobust(*flags, *more)
        assert result.exit_code == 2, result.output
        assert message in result.stderr
        assert len(result.stderr.strip().splitlines()) <= 4
    assert not Path("x").exists()


def test_unreadable_pictures(actrobust: Callable[..., Result], network: Path, imagenet: Path) -> None:
    bad = min((imagenet / "val" / "n02123045").iterdir())
    bad.write_bytes(bad.read_bytes()[:700])
    flags = (
        "--dataset",
        f"imagenet:{imagenet}",
        "--suite",
        "light",
        "--severity",
        "3",
        "--crop",
        64,
        "--resize",
        64,
    )
    refused = actrobust("evaluate", network, *FLAGS, *flags, "--out", "a")
    assert refused.exit_code == 2
    assert f"1 of 6 images cannot be read: {bad} (" in refused.stderr
    assert "--skip-unreadable leaves them out" in refused.stderr
    assert not Path("a").exists()
    result = actrobust("evaluate", network, *FLAGS, *flags, "--out", "a", "--skip-unreadable")
    assert result.exit_code == 0, result.output
    assert f"warning: 1 picture cannot be read, 1 of 6 images left out: {bad}" in result.stderr
    run = load_run("a")
    assert run.info.dataset.unreadable == (str(bad),)
    assert run.info.dataset.images == 5
    assert run.info.dataset.total == 6
    assert (run.cells["n"] == 5).all()


def test_half_of_a_view_leaves_the_other_half(
    actrobust: Callable[..., Result], network: Path, imagenet: Path
) -> None:
    flags = (*FLAGS, "--dataset", f"imagenet:{imagenet}", "--suite", "light", "--severity", "3")
    for number, (flag, what) in enumerate(
        {
            ("--crop", "64"): "resized to 256, centre of 64 x 64, bilinear",
            ("--resize", "232"): "resized to 232, centre of 224 x 224, bilinear",
            ("--interpolation", "bicubic"): "resized to 256, centre of 224 x 224, bicubic",
        }.items()
    ):
        result = actrobust("evaluate", network, *flags, *flag, "--out", number)
        assert result.exit_code == 0, result.output
        assert (load_run(str(number)).info.dataset.view or {})["what"] == what
        assert f"{what} (as given)" in result.stderr


def test_stored_pictures_are_looked_at_before_anything_is_written(
    actrobust: Callable[..., Result], network: Path, imagenet: Path
) -> None:
    flags = ("evaluate", network, *FLAGS, "--dataset", f"imagenet-c:{imagenet}", "--out", "a")
    sized = actrobust(*flags, "--resize", 64, "--crop", 64)
    assert sized.exit_code == 2
    assert "has 224 x 224 pixels, the clean images have 64 x 64" in sized.stderr
    bad = next((imagenet / "ImageNet-C" / "fog" / "5" / "n02123045").iterdir())
    bad.write_bytes(bad.read_bytes()[:500])
    cut = actrobust(*flags)
    assert cut.exit_code == 2
    assert f"1 of 60 images cannot be read: {bad}" in cut.stderr
    assert not Path("a").exists()
    result = actrobust(*flags, "--skip-unreadable")
    assert result.exit_code == 0, result.output
    assert load_run("a").info.dataset.images == 5


def test_networks_trained_on_pictures_are_shown_them_alike(
    actrobust: Callable[..., Result], tmp_path: Path
) -> None:
    for first, name in ((0, "ant"), (3, "bee")):
        (tmp_path / "animals" / name).mkdir(parents=True)
        for number in range(first, first + 3):
            picture(number, 40 + number, 50).save(tmp_path / "animals" / name / f"{number}.png")
    data = ("--dataset", f"folder:{tmp_path / 'animals'}")
    refused = actrobust("train", *data, "--out", "nets")
    assert refused.exit_code == 2
    assert "set a common size, e.g. --resize 256 --crop 224" in refused.stderr
    small = (
        "--arch",
        "cifar:resnet8?width=2",
        "--epochs",
        1,
        "--batch-size",
        2,
        "--device",
        "cpu",
        "--out",
        "nets",
    )
    trained = actrobust(
        "train", *data, "--resize", "18,20", "--crop", 16, "--interpolation", "bicubic", *small
    )
    assert trained.exit_code == 0, trained.output
    shown = ("evaluate", "nets", *data, "--suite", "light", "--device", "cpu", "--no-probes")
    evaluated = (*shown, "--out", "o", "--report", "none")
    result = actrobust(*evaluated)
    assert result.exit_code == 0, result.output
    assert "resized to 18 x 20, centre of 16 x 16, bicubic (the checkpoint's spec)" in result.stderr
    again = actrobust(*evaluated)
    assert again.exit_code == 0, again.output
    assert " units are done." in again.stderr
    made = actrobust("generate", data[1], "--resize", 20, "--crop", 16, "--suite", "light", "--out", "c")
    assert made.exit_code == 0, made.output
    assert np.load("c/contrast.npy").shape == (30, 16, 16, 3)
