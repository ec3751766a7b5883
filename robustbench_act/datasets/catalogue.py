"""The names of data sets, without torch: the module and function that loads each."""

from collections.abc import Mapping

LOADERS: Mapping[str, tuple[str, str]] = {
    "cifar-10": ("cifar", "load_cifar_10"),
    "cifar-10-c": ("cifar", "load_cifar_10"),
    "cifar-100": ("cifar", "load_cifar_100"),
    "cifar-100-c": ("cifar", "load_cifar_100"),
    "digits": ("embedded", "load_digits_set"),
    "fashion-mnist": ("idx", "load_fashion_mnist"),
    "folder": ("folders", "load_folder"),
    "imagenet": ("folders", "load_imagenet"),
    "imagenet-c": ("folders", "load_imagenet"),
    "kmnist": ("idx", "load_kmnist"),
    "mnist": ("idx", "load_mnist"),
    "mnist-1k": ("embedded", "load_mnist_1k"),
    "mnist-c": ("idx", "load_mnist_c_clean"),
    "npy": ("user_data", "load_npy"),
    "npz": ("user_data", "load_npz"),
    "parquet": ("parquet", "load_parquet"),
    "tar": ("tars", "load_tar"),
    "tiny-imagenet": ("folders", "load_tiny_imagenet"),
    "tiny-imagenet-c": ("folders", "load_tiny_imagenet"),
    "zip": ("zips", "load_zip"),
}
"""Module of this package and function, from a `Request` to a `Dataset`, of the clean images."""

DOWNLOADS: Mapping[str, str] = {
    "cifar-10": "CIFAR10",
    "cifar-100": "CIFAR100",
    "fashion-mnist": "FashionMNIST",
    "kmnist": "KMNIST",
    "mnist": "MNIST",
}
"""The classes of torchvision that download sets."""

FILES: Mapping[str, str] = {".npz": "npz", ".parquet": "parquet", ".tar": "tar", ".zip": "zip"}
"""Sets that are in a file, by its suffix."""

CORRUPTED: Mapping[str, str] = {
    "cifar-10-c": "CIFAR-10-C",
    "cifar-100-c": "CIFAR-100-C",
    "imagenet-c": "ImageNet-C",
    "mnist-c": "mnist_c",
    "tiny-imagenet-c": "Tiny-ImageNet-C",
}
"""The folder of the corrupted images, if the set has them."""


def list_datasets() -> list[str]:
    """Return the names that `load_dataset` knows.

    >>> list_datasets()[:4], len(list_datasets())
    (['cifar-10', 'cifar-10-c', 'cifar-100', 'cifar-100-c'], 20)
    """
    return sorted(LOADERS)
