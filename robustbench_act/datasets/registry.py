"""The data sets that have names on the command line."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from robustbench_act.datasets import user_data
from robustbench_act.datasets.catalogue import CORRUPTED, DOWNLOADS, FILES, LOADERS, list_datasets
from robustbench_act.datasets.class_order import with_class_order
from robustbench_act.datasets.dataset import Dataset
from robustbench_act.datasets.layouts import pair_corrupted
from robustbench_act.datasets.pictures import WORKERS
from robustbench_act.datasets.request import MissingDataError, OnItems, Request, quietly
from robustbench_act.datasets.request import download as download_set
from robustbench_act.errors import InputError, unknown_name
from robustbench_act.paths import expand
from robustbench_act.user_code import is_factory
from robustbench_act.view import View


def load_dataset(
    spec: str,
    *,
    train: bool = False,
    download: bool = False,
    view: View | None = None,
    workers: int | None = None,
    resize_corrupted: bool = False,
    class_order: str | Path | None = None,
    on_items: OnItems = quietly,
) -> Dataset:
    """Load a data set by `NAME`, `NAME:ROOT` or `package.module:function`.

    Parameters
    ----------
    spec
        "mnist-1k" (embedded) or "digits" (scikit-learn's, 8 x 8). As torchvision lays them out:
        "mnist:ROOT" (ROOT/MNIST/raw/*-ubyte), "fashion-mnist:ROOT", "kmnist:ROOT", "cifar-10:ROOT"
        (ROOT/cifar-10-batches-py or -bin), "cifar-100:ROOT" (ROOT/cifar-100-python or -binary),
        "imagenet:ROOT" (ROOT/val/SYNSET, or flat with its ground truth). "tiny-imagenet:ROOT"
        (ROOT/tiny-imagenet-200). "folder:ROOT": pictures in ROOT/CLASS, or in ROOT itself, without labels.
        "npz:FILE": images and labels (or x_test and y_test, or test_images and test_labels); "npy:ROOT":
        images.npy and labels.npy. "parquet:FILES": columns of encoded pictures and labels; "tar:FILES":
        WebDataset shards; FILES is a file, a folder or a pattern. "zip:FILE": such a folder in an archive.
        "cifar-10-c", "cifar-100-c", "imagenet-c", "tiny-imagenet-c" and "mnist-c" add the corrupted images
        in ROOT/CIFAR-10-C, CIFAR-100-C, ImageNet-C, Tiny-ImageNet-C and mnist_c. ROOT is `data` by default.
        Your own function returns a `Dataset`, images and labels, or a map-style data set of torch.
    train
        The training part instead of the test part.
    download
        Let torchvision download what is missing; nothing is downloaded unasked.
    view
        How images are resized and cropped; by default, pictures as is usual for the set.
    workers
        Threads that decode pictures; by default one per core, at most 8.
    resize_corrupted
        Show corrupted pictures from files through `view` too; otherwise they are taken as they are.
    class_order
        Which class is label 0, label 1, ...: "string" (1, 10, 2), "natural" (1, 2, 10) or a file with the
        name of a class in each line; by default the data set's own, for folders "string".
    on_items
        Told of the items of a map-style data set if all have to be read for their labels, and of stored
        pictures that are listed: see `OnItems`.

    Raises
    ------
    InputError
        For an unknown name, a missing, damaged or truncated file.

    Examples
    --------
    >>> data = load_dataset("mnist-1k")
    >>> len(data), data.shape, data.subset(100).total
    (1000, (1, 28, 28), 1000)
    """
    root = spec.partition(":")[2]
    request = Request(expand(root) if root else None, train, workers or WORKERS, on_items)
    data = _load_or_download(spec, request) if download else _load(spec, request)
    if class_order is not None:
        data = with_class_order(data, class_order)
    if view is not None:
        return data.with_view(view, corrupted=resize_corrupted)
    if resize_corrupted:
        raise InputError("Corrupted pictures are resized like the clean ones: set --resize and --crop.")
    return data


def _load_or_download(spec: str, request: Request) -> Dataset:
    """Load a data set; download it first if files are missing. An InputError if nobody offers it."""
    name = spec.partition(":")[0]
    if name not in DOWNLOADS:
        raise InputError(f"--download: expected {', '.join(DOWNLOADS)}, got {name}, which has no download.")
    try:
        return _load(spec, request)
    except MissingDataError:
        download_set(DOWNLOADS[name], name, request.folder)
    return _load(spec, request)


def _load(spec: str, request: Request) -> Dataset:
    """Load a data set in its own order and view, with the corrupted versions that belong to it."""
    name = spec.partition(":")[0]
    if name in CORRUPTED:
        if request.train:
            raise InputError(
                f"Dataset {name!r} is a test set read from files; train on {name.removesuffix('-c')}."
            )
        return pair_corrupted(
            _loader(name)(request), request.folder / CORRUPTED[name], on_items=request.on_items
        )
    if name in LOADERS:
        return _loader(name)(request)
    if is_factory(spec):
        return user_data.load_factory(
            spec, train=request.train, names=list_datasets(), on_items=request.on_items
        )
    raise _unknown(spec)


def _loader(name: str) -> Callable[[Request], Dataset]:
    """Return the function that loads the clean images of a set."""
    module, function = LOADERS[name]
    found: Callable[[Request], Dataset] = getattr(import_module(f"{__package__}.{module}"), function)
    return found


def _unknown(spec: str) -> InputError:
    """Return the error for an unknown data set; for a bare path it says how to write it."""
    path = expand(spec)
    if path.suffix in FILES or path.is_dir():
        kind = FILES.get(path.suffix, "folder")
        return InputError(f"Unknown dataset {spec!r}: put the kind first, as in {kind}:{spec}.")
    if path.suffix == ".npy":
        return InputError(
            f"Unknown dataset {spec!r}: expected a folder with images.npy, as in npy:{path.parent}."
        )
    name = spec.partition(":")[0]
    return unknown_name("dataset", name, [*list_datasets(), "package.module:function"])
