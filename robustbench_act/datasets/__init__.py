"""Images with labels, and the sets that can be named on the command line."""

from robustbench_act.datasets.dataset import Dataset
from robustbench_act.datasets.pictures import Pictures
from robustbench_act.datasets.registry import list_datasets, load_dataset
from robustbench_act.datasets.stored import CLEAN, StoredCell, StoredSuite

__all__ = ["CLEAN", "Dataset", "Pictures", "StoredCell", "StoredSuite", "list_datasets", "load_dataset"]
