"""Images with labels, and the data sets that have names on the command line."""

from robustbench_act.datasets.class_order import with_class_order
from robustbench_act.datasets.dataset import Dataset
from robustbench_act.datasets.held_out import hold_out, shared_images
from robustbench_act.datasets.layouts import pair_corrupted
from robustbench_act.datasets.pictures import Pictures
from robustbench_act.datasets.precomputed import CLEAN, StoredCell, StoredSuite
from robustbench_act.datasets.registry import list_datasets, load_dataset

__all__ = [
    "CLEAN",
    "Dataset",
    "Pictures",
    "StoredCell",
    "StoredSuite",
    "hold_out",
    "list_datasets",
    "load_dataset",
    "pair_corrupted",
    "shared_images",
    "with_class_order",
]
