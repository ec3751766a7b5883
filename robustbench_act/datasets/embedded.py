"""Data sets that need no download: an excerpt of MNIST in this package, scikit-learn's digits."""

from importlib import resources

import numpy as np
import torch

from robustbench_act.datasets.dataset import Dataset
from robustbench_act.datasets.idx import DIGITS, mnist_like
from robustbench_act.datasets.request import Request
from robustbench_act.errors import InputError


def load_mnist_1k(request: Request) -> Dataset:
    """Load the 1,000 images of the MNIST test set that come with the package."""
    if request.root is not None or request.train:
        raise InputError(
            "Dataset 'mnist-1k' is embedded and has test images only: it takes no folder, and is not for "
            "training (use digits or mnist)."
        )
    asset = resources.files("robustbench_act") / "assets" / "mnist-1k.npz"
    with asset.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        images, labels, ids = (torch.from_numpy(arrays[key]) for key in ("images", "labels", "ids"))
    return mnist_like("mnist-1k", images, labels.long(), ids.long())


def load_digits_set(request: Request) -> Dataset:
    """Load scikit-learn's digits, 8 x 8 pixels; every fifth is a test image."""
    if request.root is not None:
        raise InputError(
            f"Dataset 'digits' comes with scikit-learn and takes no folder, got {str(request.root)!r}."
        )
    from sklearn.datasets import load_digits  # noqa: PLC0415 - half a second that other sets need not pay

    data = load_digits()
    images = torch.from_numpy(np.rint(data.images * (255 / 16)).astype(np.uint8)).unsqueeze(1)
    labels = torch.from_numpy(data.target).long()
    ids = torch.arange(len(images))
    fifth = ids % 5 == 0  # the set has no split of its own
    part = ids[~fifth if request.train else fifth]
    whole = Dataset("digits", images, labels, ids, DIGITS, mean=(0.3053,), std=(0.3762,), total=len(part))
    return whole[part]
