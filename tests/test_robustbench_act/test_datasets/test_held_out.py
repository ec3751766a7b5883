"""Images held out of training: how many of each class, always the same ones, none of them trained on."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from robustbench_act.datasets import Dataset, hold_out, load_dataset, shared_images
from robustbench_act.errors import InputError
from robustbench_act.view import View


def labelled(sizes: list[int]) -> Dataset:
    """Return images, all different, of classes of these sizes, mixed."""
    count = sum(sizes)
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    random = np.random.default_rng(0)
    order = torch.from_numpy(random.permutation(count))
    images = torch.from_numpy(random.integers(0, 256, (count, 1, 8, 8), dtype=np.uint8))
    names = tuple(map(str, range(len(sizes))))
    return Dataset("some", images, labels[order], torch.arange(count), names, (0.5,), (0.5,), total=count)


@pytest.mark.parametrize(
    ("sizes", "held"),
    [
        ([50, 30, 20], [5, 3, 2]),
        ([14, 6], [1, 1]),  # 1.4 and 0.6 of 2: the larger remainder gets the one that is left
        ([2, 2, 2], [1, 0, 0]),  # at least one
        ([0, 1, 19], [0, 0, 2]),
        ([1, 1, 1], [0, 0, 0]),  # each class has to be trained on
        ([400, 1, 1], [40, 0, 0]),
    ],
)
def test_a_tenth_of_each_class(sizes: list[int], held: list[int]) -> None:
    data = labelled(sizes)
    train, test = hold_out(data)
    assert torch.bincount(test.known_labels, minlength=len(sizes)).tolist() == held
    assert sorted([*train.ids.tolist(), *test.ids.tolist()]) == data.ids.tolist()
    assert shared_images(train, test) == []
    assert len(shared_images(data, test)) == len(test)


def test_the_same_images_whatever_their_order() -> None:
    data = labelled([60, 40])
    held = {seed: set(hold_out(data, seed=seed)[1].ids.tolist()) for seed in (0, 1)}
    assert set(hold_out(data[torch.arange(100).flip(0)])[1].ids.tolist()) == held[0]
    assert held[0] != held[1]
    assert max(held[0]) - min(held[0]) > 50  # not the first, not the last


def test_equal_pixels_are_one_image_in_any_form() -> None:
    data = load_dataset("digits")
    again = replace(data[:7], pixels=data.images[:7].clone(), ids=torch.arange(100, 107))
    named = [f"image {number}" for number in range(100, 107)]
    assert shared_images(data, again) == named
    assert shared_images(data, replace(again, pixels=255 - again.images)) == []
    assert shared_images(data.with_view(View(resize=16)), again.with_view(View(resize=16))) == named


def test_copies_of_files_are_found_and_no_others(tmp_path: Path) -> None:
    """By their bytes; bitmaps are all of one size."""
    random = np.random.default_rng(0)
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        for number, pixels in enumerate(random.integers(0, 256, (6, 8, 8), dtype=np.uint8)):
            Image.fromarray(pixels).save(tmp_path / part / f"{number}.bmp")
    shutil.copy(tmp_path / "a" / "2.bmp", tmp_path / "b" / "4.bmp")
    ours, theirs = (load_dataset(f"folder:{tmp_path / part}") for part in ("a", "b"))
    assert shared_images(ours, theirs) == [str(tmp_path / "b" / "4.bmp")]
    assert shared_images(ours[:2], theirs) == []
    assert len(shared_images(ours, ours[1:])) == 5
    assert shared_images(ours, load_dataset("digits")) == shared_images(load_dataset("digits"), ours) == []
    (tmp_path / "b" / "5.bmp").unlink()
    with pytest.raises(InputError, match=r"b/5\.bmp: cannot be read \(No such file or directory\)"):
        shared_images(ours, theirs)
