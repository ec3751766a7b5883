"""Grey images for RGB networks and the reverse, small ones for large networks, labels from 1: made to fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from torch.nn import functional as F

import corruptions
from robustbench_act.checkpoints import Entry, Spec, load_checkpoint, save_checkpoint
from robustbench_act.datasets import Dataset, load_dataset
from robustbench_act.errors import InputError
from robustbench_act.evaluation import DataRequest, Execution, PlanRequest, evaluate, run_request
from robustbench_act.models import build_model
from robustbench_act.run import Run

CORRUPTION = "brightness"
NETWORK = "cifar:resnet8?width=2"


def saved(folder: Path, name: str, size: tuple[int, int, int]) -> Path:
    """Save a network with random weights for images (C, H, W)."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = build_model(NETWORK, channels=size[0])
    spec = Spec(NETWORK, "relu", 10, size, (0.4,) * size[0], (0.3,) * size[0])
    save_checkpoint(folder / f"{name}.safetensors", model, spec)
    return folder / f"{name}.safetensors"


def run(paths: list[Any], data: Dataset, out: Path, notes: list[str] | None = None) -> Run:
    """Evaluate without probes at one severity."""
    told = [] if notes is None else notes
    return evaluate(
        paths, dataset=data, suites=["light"], severities=[3], probes=False, out=out, on_note=told.append
    )


def accuracy(path: Path, images: torch.Tensor, labels: torch.Tensor, size: tuple[int, int, int]) -> float:
    """Return the accuracy on images (N, C, H, W) that are fitted here, without the toolkit's code."""
    x = images.float() / 255
    x = x.mean(1, keepdim=True) if size[0] < x.shape[1] else x.expand(-1, size[0], -1, -1)
    if x.shape[-1] != size[-1]:
        x = F.interpolate(x, size=size[1:], mode="bilinear", align_corners=False)
    with torch.inference_mode():
        predicted = load_checkpoint(path).model((x - 0.4) / 0.3).argmax(1)
    return float((predicted == labels).double().mean())


@pytest.mark.parametrize("size", [(3, 28, 28), (1, 40, 40), (3, 32, 32)])
def test_corruptions_act_on_the_stored_pixels_then_they_are_made_to_fit(
    size: tuple[int, int, int], tmp_path: Path
) -> None:
    data = load_dataset("mnist-1k").subset(40)
    path, notes = saved(tmp_path, "net", size), list[str]()
    found = run([path], data, tmp_path / "run", notes)
    cells = found.cells.set_index("corruption")["accuracy"]
    corrupted = corruptions.corrupt(data.images, CORRUPTION, severity=3, ids=data.ids)
    assert cells["clean"] == accuracy(path, data.images, data.known_labels, size)
    assert cells[CORRUPTION] == accuracy(path, corrupted, data.known_labels, size)
    steps = [
        *(["repeated for 3 channels"] if size[0] == 3 else []),
        *([f"resized to {size[1]} x {size[2]} (bilinear)"] if size[1] != 28 else []),
    ]
    (checkpoint,) = found.info.checkpoints
    assert list(checkpoint.adapted) == steps
    assert notes[0] == f"net: images of 1 x 28 x 28 are {' and '.join(steps)}, after corruptions."


def test_networks_of_several_sizes_see_the_same_pixels(tmp_path: Path) -> None:
    """And a network that the images fit has the numbers that it has alone."""
    data = load_dataset("mnist-1k").subset(40)
    paths = [saved(tmp_path, "grey", (1, 28, 28)), saved(tmp_path, "rgb", (3, 32, 32))]
    both, alone = run(paths, data, tmp_path / "both"), run(paths[:1], data, tmp_path / "alone")
    mine = both.cells[both.cells["checkpoint"] == "grey"].reset_index(drop=True)
    assert mine.equals(alone.cells)


def test_rgb_images_for_grey_networks(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    colours = random.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "rgb.npz", images=colours, labels=np.arange(20) % 10)
    grey = (colours.astype(np.float64) @ [0.299, 0.587, 0.114]).round().astype(np.uint8)
    data, path = load_dataset(f"npz:{tmp_path / 'rgb.npz'}"), saved(tmp_path, "net", (1, 8, 8))
    found = run([path], data, tmp_path / "run")
    clean = found.cells.set_index("corruption")["accuracy"]["clean"]
    assert clean == accuracy(path, torch.from_numpy(grey)[:, None], data.known_labels, (1, 8, 8))
    assert found.info.checkpoints[0].adapted == ("made grey (BT.601)",)


def test_stored_corrupted_images_are_made_to_fit_too(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    clean, fog = (random.integers(0, 256, (count, 8, 8, 1), dtype=np.uint8) for count in (10, 50))
    (tmp_path / "c").mkdir()
    np.save(tmp_path / "images.npy", clean)
    np.save(tmp_path / "labels.npy", np.arange(10))
    np.save(tmp_path / "c" / "fog.npy", fog)
    np.save(tmp_path / "c" / "labels.npy", np.tile(np.arange(10), 5))
    path = saved(tmp_path, "net", (3, 16, 16))
    request = PlanRequest(
        dataset=f"npy:{tmp_path}", corrupted=tmp_path / "c", severities=[2], checkpoints=[path]
    )
    found = run_plan_of(request, tmp_path / "run")
    expected = accuracy(path, torch.from_numpy(fog[10:20]).permute(0, 3, 1, 2), torch.arange(10), (3, 16, 16))
    assert found.cells.set_index("corruption")["accuracy"]["fog"] == expected
    forced = PlanRequest(
        dataset=f"npy:{tmp_path}", corrupted=tmp_path / "c", severities=[2], checkpoints=[path], channels=3
    )
    again = run_plan_of(forced, tmp_path / "forced")
    assert again.cells["accuracy"].equals(found.cells["accuracy"])
    with pytest.raises(InputError, match="stored arrays are shown as they are, without --resize"):
        PlanRequest(
            dataset=f"npy:{tmp_path}", corrupted=tmp_path / "c", checkpoints=[path], resize=16, crop=16
        ).plan()


def run_plan_of(request: PlanRequest, out: Path) -> Run:
    """Run a request."""
    return run_request(request, Execution.of(device="cpu"), out, resume=True, command="test")


def test_channels_are_forced_before_corruptions(tmp_path: Path) -> None:
    """Noise then differs from channel to channel."""
    grey = DataRequest(dataset="mnist-1k").open()
    rgb = DataRequest(dataset="mnist-1k", channels=3).open()
    assert rgb.shape == (3, 28, 28)
    assert rgb.digest != grey.digest
    assert torch.equal(rgb.images[:, 2:], grey.images)
    noisy = corruptions.corrupt(rgb.images[:5], "gaussian_noise", severity=3, ids=rgb.ids[:5])
    assert not torch.equal(noisy[:, 0], noisy[:, 1])
    found = run([saved(tmp_path, "net", (3, 28, 28))], rgb.subset(20), tmp_path / "run")
    assert found.info.checkpoints[0].adapted == ()
    assert found.info.dataset.size == (3, 28, 28)
    for channels in (2, 4):
        with pytest.raises(InputError, match=f"--channels: expected 1 .grey. or 3 .RGB., got {channels}"):
            DataRequest(dataset="mnist-1k", channels=channels).open()


def test_the_network_takes_the_channels_of_its_mean(tmp_path: Path) -> None:
    """A file that says nothing, before grey images: nobody has to give --input-size."""
    path = tmp_path / "net.pth"
    torch.save(build_model(NETWORK, channels=3).state_dict(), path)
    data = load_dataset("mnist-1k").subset(10)
    found = load_checkpoint(path, NETWORK, data=data, mean=(0.5,) * 3, std=(0.5,) * 3)
    assert found.spec.input_size == (3, 28, 28)
    plain = load_checkpoint(path, NETWORK, data=data.with_channels(3), mean=(0.5,) * 3, std=(0.5,) * 3)
    assert plain.spec.input_size == (3, 28, 28)


def test_a_network_that_is_built_for_one_size_takes_it(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    path = tmp_path / "vit.pth"
    torch.save(timm.create_model("test_vit", num_classes=10).state_dict(), path)
    data = load_dataset("mnist-1k").subset(4)
    found = load_checkpoint(path, "timm:test_vit", data=data, mean=(0.5,) * 3, std=(0.5,) * 3)
    assert found.spec.input_size == (3, 160, 160)
    steps = ("repeated for 3 channels", "resized to 160 x 160 (bilinear)")
    assert found.adapted(data.shape) == steps
    given = load_checkpoint(
        path, "timm:test_vit?img_size=160&dynamic_img_size=1", data=data, mean=(0.5,) * 3, std=(0.5,) * 3
    )
    assert given.spec.input_size == (3, 28, 28)


def write_labels(path: Path, first: int) -> str:
    """Write an .npz file with the embedded images and labels that count from `first`."""
    data = load_dataset("mnist-1k").subset(30)
    np.savez(path, images=data.images[:, 0].numpy(), labels=data.known_labels.numpy() + first)
    return f"npz:{path}"


def test_labels_that_count_from_one(tmp_path: Path) -> None:
    """Recognised by a network of 10 classes, whether its file says so or its weights do."""
    ours = saved(tmp_path, "ours", (1, 28, 28))
    torch.save(load_checkpoint(ours).model.state_dict(), tmp_path / "theirs.pth")
    theirs = Entry(tmp_path / "theirs.pth", spec={"model": NETWORK, "mean": (0.4,), "std": (0.3,)})
    zero, one = (load_dataset(write_labels(tmp_path / f"from{first}.npz", first)) for first in (0, 1))
    expected = run([ours, theirs], zero, tmp_path / "zero")
    notes: list[str] = []
    found = run([ours, theirs], one, tmp_path / "one", notes)
    assert found.cells["accuracy"].equals(expected.cells["accuracy"])
    assert found.info.dataset.labels_from == 1
    assert expected.info.dataset.labels_from is None
    assert found.info.dataset.classes == tuple(map(str, range(1, 11)))
    assert notes == ["from1: labels count from 1, classes of networks from 0: 1 is taken away."]


def test_a_network_with_a_column_for_class_0_keeps_labels_from_1(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(build_model(NETWORK, channels=1, classes=11).state_dict(), path)
    entry = Entry(path, spec={"model": NETWORK, "mean": (0.4,), "std": (0.3,)})
    spec = write_labels(tmp_path / "from1.npz", 1)
    data, (found,) = PlanRequest(dataset=spec, checkpoints=[entry]).load()
    assert found.spec.classes == 11
    assert data.labels_from is None
    assert int(data.known_labels.min()) == 1
    with pytest.raises(InputError, match="has 10 classes, dataset 'from2' has 12"):
        PlanRequest(
            dataset=write_labels(tmp_path / "from2.npz", 2), checkpoints=[saved(tmp_path, "ten", (1, 28, 28))]
        ).plan()


def test_it_is_said_on_the_command_line_and_in_the_report(
    actrobust: Callable[..., Result], tmp_path: Path
) -> None:
    path = saved(tmp_path, "net", (3, 32, 32))
    data = write_labels(tmp_path / "from1.npz", 1)
    arguments = ("--dataset", data, "--suite", "light", "--severity", "3", "--no-probes", "--out", "run")
    result = actrobust("evaluate", path, *arguments)
    assert result.exit_code == 0, result.output
    steps = "repeated for 3 channels and resized to 32 x 32 (bilinear)"
    note = f"net: images of 1 x 28 x 28 are {steps}, after corruptions."
    assert f"note: {note}" in result.stderr
    page = Path("run/report.html").read_text("utf-8")
    assert "repeated for 3 channels, resized to 32 x 32 (bilinear)" in page
    assert "dataset: labels_from" in page
    result = actrobust("doctor", path, "--dataset", data)
    assert "after corruptions, images are repeated for 3 channels" in result.output
    assert "counted from 1 in the file" in result.output
    result = actrobust("probe", path, "--dataset", data, "--limit", "4")
    assert f"note: {note}" in result.stderr
