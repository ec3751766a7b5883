"""Images to train on and images to test on, without one in both."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from robustbench_act.datasets import Dataset, hold_out, shared_images
from robustbench_act.errors import InputError
from robustbench_act.evaluation import DataRequest

_TWICE = 0.1  # share of test images that may be training images: published sets have some images twice


class Parts(NamedTuple):
    """Images to train on, to test on and to choose settings by, and how they were split if they had to be.

    Attributes
    ----------
    train
        Images to train on.
    test
        Images to test on; None if the data set has none to spare.
    validation
        Images to choose settings by, split off from those to train on; None unless they were asked for.
    held_out, held_out_for_validation
        How `test` and `validation` were split off; "" if they were not.
    doubt
        Which test images are training images too: published sets have some images twice.
    """

    train: Dataset
    test: Dataset | None = None
    validation: Dataset | None = None
    held_out: str = ""
    held_out_for_validation: str = ""
    doubt: str = ""


def open_parts(request: DataRequest, *, validation: float = 0.0) -> Parts:
    """Return the data set's own parts; a tenth of its images to test on if it has no labelled test part.

    A share `validation` of the images to train on is split off from them, drawn in each class; the limit of
    the request is on what is left. An InputError if some of the test images are training images, or there
    are too few images to split off one.
    """
    if not 0 <= validation < 1:
        raise InputError(f"Expected a share for validation from 0 to below 1, such as 0.1, got {validation}.")
    parts = _train_and_test(request)
    if validation:
        kept, held = hold_out(parts.train, share=validation)
        if not len(held):
            raise InputError(
                f"Dataset {parts.train.name!r}: expected several images of a class, to split off validation "
                f"images, got {len(parts.train)} images of {len(parts.train.classes)} classes."
            )
        text = _split(held, parts.train)
        parts = parts._replace(train=kept, validation=held, held_out_for_validation=text)
    return parts._replace(train=request.choose(parts.train))


def _train_and_test(request: DataRequest) -> Parts:
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
            return Parts(train, test.with_channels(train.shape[0]), doubt=doubt)
    kept, held = hold_out(train)
    return Parts(kept, held if len(held) else None, held_out=_split(held, train))


def _split(held: Dataset, whole: Dataset) -> str:
    return f"{len(held)} of {len(whole)} images, drawn in each class, seed 0"


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
