"""Images to train on and images to test on, without one in both."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from robustbench_act.datasets import Dataset, hold_out, shared_images
from robustbench_act.errors import InputError
from robustbench_act.evaluation import DataRequest

_TWICE = 0.1  # share of test images that may be training images: published sets have some images twice


class Parts(NamedTuple):
    """Images to train on, others to test on (or None), and how they were split if they had to be.

    `doubt` says which test images are training images too: published sets have some images twice.
    """

    train: Dataset
    test: Dataset | None
    held_out: str = ""
    doubt: str = ""


def open_parts(request: DataRequest) -> Parts:
    """Return the data set's own parts; a tenth of its images to test on if it has no labelled test part.

    The limit of the request is on the images to train on. An InputError if some of the test images are
    training images.
    """
    request = request.loaded()
    everything = replace(request, limit=None)
    whole = replace(everything, train=True)
    train = whole.choose(whole.open())
    _ = train.known_labels
    test = everything.choose(everything.open())
    if test.labels is not None:
        twice = trained_on(train, test)
        if len(twice) < len(test):
            doubt = ""
            if twice:
                doubt = f"of its test images, {_some_of(twice, test)} are training images too"
            return Parts(request.choose(train), test.with_channels(train.shape[0]), doubt=doubt)
    kept, held = hold_out(train)
    text = f"{len(held)} of {len(train)} images, drawn in each class, seed 0"
    return Parts(request.choose(kept), held if len(held) else None, text)


def trained_on(train: Dataset, test: Dataset) -> list[str]:
    """Return the test images that are trained on: all or few of them, an InputError if there are more."""
    shared = shared_images(train, test)
    if _TWICE * len(test) < len(shared) < len(test):
        raise InputError(
            f"Dataset {test.name!r}: expected test images that are not trained on, but "
            f"{_some_of(shared, test)} are; take them out of one of the two parts."
        )
    return shared


def _some_of(shared: Sequence[str], test: Dataset) -> str:
    return f"{len(shared)} of {len(test)} (such as {shared[0]})"
