"""The sets that can be named on the command line."""

from collections.abc import Callable
from pathlib import Path

from robustbench_act.datasets.cifar import load_cifar_10, load_cifar_10_c, load_cifar_100, load_cifar_100_c
from robustbench_act.datasets.dataset import Dataset
from robustbench_act.datasets.embedded import load_digits_set, load_mnist_1k
from robustbench_act.datasets.idx import load_mnist
from robustbench_act.errors import unknown_name


def load_dataset(spec: str, *, train: bool = False, download: bool = False) -> Dataset:
    """Load a data set by `NAME` or `NAME:ROOT`.

    Parameters
    ----------
    spec
        "mnist-1k" (embedded), "digits" (scikit-learn's, 8 x 8), or, in torchvision's layout, "mnist[:ROOT]"
        (ROOT/MNIST/raw/*-ubyte), "cifar-10[:ROOT]" (ROOT/cifar-10-batches-py) and "cifar-100[:ROOT]"
        (ROOT/cifar-100-python); "cifar-10-c[:ROOT]" and "cifar-100-c[:ROOT]" are these with the corrupted
        images in ROOT/CIFAR-10-C and ROOT/CIFAR-100-C. ROOT is `data` where it is left out.
    train
        The training part instead of the test part.
    download
        Let torchvision download what is missing; nothing is downloaded unasked.

    Raises
    ------
    InputError
        For an unknown name, a missing or a truncated file.

    Examples
    --------
    >>> data = load_dataset("mnist-1k")
    >>> len(data), data.shape, data.subset(100).total
    (1000, (1, 28, 28), 1000)
    """
    name, _, root = spec.partition(":")
    if name not in _LOADERS:
        raise unknown_name("dataset", name, _LOADERS)
    return _LOADERS[name](Path(root) if root else None, train, download)


def list_datasets() -> list[str]:
    """Return the names that `load_dataset` knows.

    >>> list_datasets()
    ['cifar-10', 'cifar-10-c', 'cifar-100', 'cifar-100-c', 'digits', 'mnist', 'mnist-1k']
    """
    return sorted(_LOADERS)


_LOADERS: dict[str, Callable[[Path | None, bool, bool], Dataset]] = {
    "cifar-10": load_cifar_10,
    "cifar-10-c": load_cifar_10_c,
    "cifar-100": load_cifar_100,
    "cifar-100-c": load_cifar_100_c,
    "digits": load_digits_set,
    "mnist": load_mnist,
    "mnist-1k": load_mnist_1k,
}
