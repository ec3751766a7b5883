"""Corruptions as transforms: any kind of image, what they draw, what is wrong with arguments."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import IterableDataset
from torchvision import tv_tensors
from torchvision.transforms import v2

import corruptions
from corruptions import Cell, Corrupt, Corrupted, InputError, RandomCorruption, Suite
from corruptions.transforms import epoch_seed

from .conftest import make_images
from .test_device import fake_cuda


def array_of(images: Tensor) -> np.ndarray[Any, Any]:
    """Return one image (1, C, H, W) as an array (H, W, C)."""
    return np.ascontiguousarray(images[0].permute(1, 2, 0).numpy())


def read_only(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    array.flags.writeable = False
    return array


KINDS: dict[str, tuple[int, Callable[[Tensor], Any]]] = {
    "PIL L": (1, lambda images: Image.fromarray(array_of(images)[..., 0])),
    "PIL RGB": (3, lambda images: Image.fromarray(array_of(images))),
    "grey tensor": (1, lambda images: images[0]),
    "tensor": (3, lambda images: images[0]),
    "batch": (3, lambda images: images),
    "strided tensor": (3, lambda images: images[0].permute(1, 2, 0).contiguous().permute(2, 0, 1)),
    "tv image": (3, lambda images: tv_tensors.Image(images[0])),
    "tv batch": (3, tv_tensors.Image),
    "array HW": (1, lambda images: array_of(images)[..., 0]),
    "array HW1": (1, lambda images: read_only(array_of(images))),
    "array HW3": (3, array_of),
    "array read-only": (3, lambda images: read_only(array_of(images))),
    "array backwards": (3, lambda images: array_of(images.flip(3))[:, ::-1]),
}


def pixels(image: Any) -> Tensor:
    """Return an image of any kind as a plain tensor (1, C, H, W)."""
    if isinstance(image, Image.Image):
        image = np.array(image)
    if isinstance(image, np.ndarray):
        image = torch.from_numpy(image.copy()).view(*image.shape[:2], -1).permute(2, 0, 1)
    plain: Tensor = image.as_subclass(Tensor)
    return plain.view(1, *plain.shape[-3:])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_image_gets_the_pixels_of_corrupt_and_keeps_its_kind(kind: str) -> None:
    channels, make = KINDS[kind]
    images = make_images(count=1, channels=channels, dtype=torch.uint8)
    image = make(images)
    before = pixels(image).clone()
    made = Corrupt("glass_blur", severity=3, seed=5)(image, index=[7])
    expected = corruptions.corrupt(images, "glass_blur", severity=3, seed=5, ids=torch.tensor([7]))
    assert torch.equal(pixels(made), expected)
    assert torch.equal(pixels(image), before)
    assert not torch.equal(expected, before)
    if isinstance(image, Image.Image):
        assert (made.mode, made.size) == (image.mode, image.size)
    else:
        assert (type(made), made.shape, made.dtype) == (type(image), image.shape, image.dtype)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_floats_are_not_quantised(dtype: torch.dtype) -> None:
    images = make_images(count=2, channels=3, dtype=dtype)
    ids = torch.tensor([3, -4])
    made = Corrupt("gaussian_noise", severity=2)(images, index=ids)
    assert made.dtype == dtype
    assert torch.equal(made, corruptions.corrupt(images, "gaussian_noise", severity=2, ids=ids))


def test_a_picture_keeps_what_its_file_said() -> None:
    image = Image.new("RGB", (11, 17))
    image.info["icc_profile"] = b"profile"
    made = Corrupt("fog", severity=1)(image)
    assert made.info == {"icc_profile": b"profile"}
    assert made.info is not image.info


def test_labels_boxes_and_masks_pass_through() -> None:
    image = make_images(count=1, channels=3, dtype=torch.uint8)[0]
    boxes = tv_tensors.BoundingBoxes([[1, 2, 3, 4]], format="XYXY", canvas_size=(17, 11))
    mask = tv_tensors.Mask(torch.ones(17, 11, dtype=torch.uint8))
    fog = Corrupt("fog", severity=3)
    expected = fog(image, index=0)
    for given in (tv_tensors.Image(image), image):
        sample = {"image": given, "rest": [boxes, mask, torch.tensor(3), np.arange(3), "name", None, 2.5]}
        made = fog(sample, index=0)
        assert torch.equal(pixels(made["image"])[0], expected)
        assert all(one is other for one, other in zip(made["rest"], sample["rest"], strict=True))
    made = fog(mask, OrderedDict(image=image), index=0)
    assert isinstance(made, tuple)
    assert made[0] is mask
    assert torch.equal(made[1]["image"], expected)


def test_the_first_tensor_is_the_image_unless_something_says_that_it_is_one() -> None:
    one, other = make_images(count=2, channels=3, dtype=torch.uint8)
    noise = Corrupt("gaussian_noise", severity=3)
    first, second = noise(one, other, index=1)
    assert not torch.equal(first, one)
    assert second is other
    first, second = noise(one, tv_tensors.Image(other), index=1)
    assert first is one
    assert not torch.equal(second, other)


def test_images_without_an_index_are_known_by_their_values() -> None:
    images = make_images(count=3, channels=3, dtype=torch.uint8)
    images[2] = images[0]
    noise = Corrupt("gaussian_noise", severity=3)
    made = noise(images)
    assert torch.equal(made[0], made[2])
    for image, expected in zip(images, made, strict=True):
        for kind in ("tensor", "strided tensor", "tv image", "PIL RGB", "array HW3"):
            assert torch.equal(pixels(noise(KINDS[kind][1](image[None])))[0], expected), kind
    flat = torch.full((2, 3, 17, 11), 128, dtype=torch.uint8)
    flat[1, 0, 0, 0] = 127
    one, other = noise(flat).int() - flat.int()
    assert (one != other).float().mean() > 0.5
    assert not torch.equal(noise(flat[:1].view(1, 3, 11, 17)).view(-1), noise(flat[:1]).view(-1))


def test_input_shifts_take_normalised_floats() -> None:
    image = make_images(count=1, channels=3, dtype=torch.uint8)[0]
    shift = Corrupt("shift_gaussian", severity=4)
    steps = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.25] * 3)]
    made = v2.Compose([*steps, shift])(image)
    clean = v2.Compose(steps)(image)
    assert isinstance(made, tv_tensors.Image)
    assert made.min() < -2
    assert torch.equal(shift(clean), made)
    drawn = RandomCorruption("shift")(clean, index=3)
    assert type(drawn) is tv_tensors.Image
    assert drawn.shape == clean.shape


def test_batches_on_a_gpu_stay_there() -> None:
    with fake_cuda():
        images = torch.empty(4, 3, 17, 11, dtype=torch.uint8, device="cuda")
        made = Corrupt("fog", severity=3)(images, index=torch.arange(4))
        assert (made.device.type, made.shape, made.dtype) == ("cuda", images.shape, images.dtype)


def test_it_stands_where_transforms_stand() -> None:
    image = make_images(count=1, channels=3, dtype=torch.uint8)[0]
    fog = Corrupt("fog", severity=3)
    assert isinstance(fog, nn.Module)
    expected = fog(image)
    for pipeline in (v2.Compose([fog]), nn.Sequential(fog), v2.RandomApply([fog], p=1.0)):
        assert torch.equal(pipeline(image), expected)
    made, label = v2.Compose([v2.ToImage(), fog])(KINDS["PIL RGB"][1](image[None]), 3)
    assert (type(made), label) == (tv_tensors.Image, 3)
    assert torch.equal(made, expected)


def test_repr_and_arguments() -> None:
    assert repr(Corrupt("fog", severity=1.5, seed=3, table="32")) == (
        "Corrupt('fog', severity=1.5, seed=3, table='32')"
    )
    assert "Corrupt('fog', severity=1.0)" in repr(v2.Compose([Corrupt("fog", severity=1)]))
    for transform in (
        RandomCorruption("cifar-c"),
        RandomCorruption(["fog", "*_noise"], severities=[2, 1], p=0.25, seed=9),
        RandomCorruption("fog", table="64"),
    ):
        again = eval(repr(transform))
        assert again.suite == transform.suite
        assert repr(again) == repr(transform)
    assert RandomCorruption("cifar-c").suite == corruptions.get_suite("cifar-c")
    mine = Suite("mine", (Cell("fog", 2), Cell("contrast", 5)))
    assert RandomCorruption(mine).suite is mine
    assert RandomCorruption(mine, severities=[1]).suite.cells == (Cell("fog", 1), Cell("contrast", 1))


class Endless(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return count()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Corrupt("fogg", severity=3), r"Unknown corruption 'fogg'. Did you mean 'fog'\?"),
        (lambda: Corrupt("fog", severity=6), r"severity 0 \(the identity\) or a number in \[1, 5\], got 6"),
        (lambda: Corrupt("fog", severity=3, seed=0.5), "64-bit integer as seed, got 0.5"),  # type: ignore[arg-type]
        (lambda: Corrupt("fog", severity=3, table="33"), "Unknown severity table '33'"),
        (lambda: RandomCorruption("c16"), "Unknown suite 'c16'"),
        (lambda: RandomCorruption(["fog", "*_nois"]), r"'\*_nois'"),
        (lambda: RandomCorruption("fog", p=1.5), r"probability p in \[0, 1\], got 1.5"),
        (lambda: RandomCorruption("fog", p=float("nan")), "got nan"),
        (lambda: RandomCorruption("fog", p="1"), "got '1'"),  # type: ignore[arg-type]
        (lambda: RandomCorruption("fog", severities=[]), "got none in 'fog'"),
        (lambda: RandomCorruption("fog,shift_up"), "got both in 'fog,shift_up'"),
        (
            lambda: RandomCorruption(Suite.build("mine", ["fog"]), table="32"),
            "no table beside the suite 'mine'",
        ),
        (lambda: epoch_seed(0, -1), "epoch of 0, 1, 2, ..., got -1"),
        (lambda: Corrupted(range(3)).set_epoch(1.5), "got 1.5"),  # type: ignore[arg-type]
        (
            lambda: Corrupted(iter([])),
            "items have an index, got list_iterator; in a stream, call the transform",
        ),
        (lambda: Corrupted(Endless()), "got Endless"),
        (lambda: Corrupted(range(3), "fog"), "a transform to call, got str"),
        (lambda: Corrupted(range(3), ids=[1]), "an id for each of 3 items, got 1"),
        (lambda: Corrupted(range(3))["a"], "whole number as index, got 'a'"),  # type: ignore[index]
    ],
)
def test_wrong_arguments_are_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


IMAGE = torch.zeros(3, 16, 16, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("inputs", "index", "message"),
    [
        ([Image.new("RGBA", (16, 16))], None, r"mode L or RGB, got mode RGBA; image.convert\('RGB'\)"),
        ([Image.new("P", (16, 16))], None, "got mode P"),
        ([np.zeros((16, 16, 3))], None, r"uint8 array \(H, W\) or \(H, W, C\), got float64 \(16, 16, 3\)"),
        ([np.zeros((2, 16, 16, 3), np.uint8)], None, r"got uint8 \(2, 16, 16, 3\)"),
        ([np.zeros((16, 16, 4), np.uint8)], None, r"1 or 3 channels in \(N, C, H, W\), got 4"),
        ([IMAGE[0]], None, r"\(C, H, W\) or \(N, C, H, W\), got shape \(16, 16\) \(Corrupt\)"),
        ([torch.tensor(3), IMAGE], None, r"got shape \(\)"),
        ([IMAGE.float() + 2], None, r"floats? images in \[0, 1\], got values in \[2, 2\]"),
        ([Image.new("L", (7, 16))], None, "height and width of at least 8"),
        ([], None, "an image .* among the inputs, got nothing"),
        (["path.png", 3], None, "an image .* among the inputs, got str, int"),
        ([tv_tensors.Video(torch.zeros(2, 3, 16, 16))], None, "got a video"),
        ([tv_tensors.Mask(torch.zeros(16, 16))], None, "among the inputs, got Mask"),
        ([IMAGE], 0.5, "64-bit whole number as index, or one for each image, got 0.5"),
        ([IMAGE], True, "got True"),
        ([IMAGE], 2**63, "got 9223372036854775808"),
        ([IMAGE], "a", "got 'a'"),
        ([IMAGE], [[1]], r"got \[\[1\]\]"),
        ([IMAGE], [1, 2], "an index for each of 1 images, got 2"),
        ([IMAGE.expand(4, -1, -1, -1)], 7, "an index for each of 4 images, got 1"),
    ],
)
def test_wrong_images_and_indices_are_one_line(inputs: list[Any], index: Any, message: str) -> None:
    for transform in (Corrupt("fog", severity=3), RandomCorruption("fog")):
        with pytest.raises(InputError, match=message.replace(r"\(Corrupt\)", "")) as caught:
            transform(*inputs, index=index)
        assert "\n" not in str(caught.value)


def test_a_shift_of_pixels_is_one_line() -> None:
    with pytest.raises(InputError, match="input shifts act after the preprocessing"):
        Corrupt("shift_up", severity=3)(Image.new("RGB", (16, 16)))


def test_a_random_corruption_is_what_it_says_that_it_draws() -> None:
    images = make_images(count=24, channels=3, dtype=torch.uint8)
    ids = torch.arange(len(images)) - 5
    transform = RandomCorruption("c19", severities=[1, 3], p=0.7, seed=3)
    for epoch in (0, 4):
        made = transform(images, index=ids, epoch=epoch)
        drawn = [transform.draw(number, epoch=epoch) for number in ids.tolist()]
        assert None in drawn
        for place, cell in enumerate(drawn):
            assert torch.equal(transform(images[place], index=ids[place], epoch=epoch), made[place])
            expected = images[place : place + 1]
            if cell is not None:
                seed = epoch_seed(3, epoch)
                assert seed == 3 or epoch
                options: Any = {"severity": cell.severity, "seed": seed, "ids": ids[place : place + 1]}
                expected = corruptions.corrupt(expected, cell.corruption, **options)
            assert torch.equal(made[place], expected[0])
    assert transform(images[:0], index=ids[:0]).shape == (0, 3, 17, 11)


def test_an_image_that_is_left_as_it_is_is_a_copy() -> None:
    image = make_images(count=1, channels=3, dtype=torch.uint8)[0]
    made = RandomCorruption("fog", p=0)(image)
    assert torch.equal(made, image)
    assert made.data_ptr() != image.data_ptr()


def test_draws_are_uniform_and_independent_of_one_another() -> None:
    transform = RandomCorruption("c15", p=0.5)
    drawn = [transform.draw(number) for number in range(15_000)]
    kept = [cell for cell in drawn if cell is not None]
    assert abs(len(kept) - 7500) < 4 * (15_000 / 4) ** 0.5
    counts = Counter(kept)
    assert set(counts) == set(transform.suite.cells)
    expected = len(kept) / 75
    chi2 = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi2 < 74 + 4 * (2 * 74) ** 0.5
    later = [transform.draw(number, epoch=1) for number in range(15_000)]
    same = sum(one == other for one, other in zip(drawn, later, strict=True))
    assert abs(same / 15_000 - (0.25 + 0.25 / 75)) < 0.015
    other = [RandomCorruption("c15", p=0.5, seed=1).draw(number) for number in range(100)]
    assert other != drawn[:100]
    assert other != later[:100]


def test_seeds_of_epochs_differ() -> None:
    seeds = [epoch_seed(seed, epoch) for seed in range(20) for epoch in range(50)]
    assert len(set(seeds)) == len(seeds)
    assert [epoch_seed(seed, 0) for seed in (-(2**63), 0, 2**64 - 1)] == [-(2**63), 0, 2**64 - 1]
