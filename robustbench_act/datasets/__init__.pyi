from .catalogue import list_datasets as list_datasets
from .class_order import with_class_order as with_class_order
from .dataset import Dataset as Dataset
from .held_out import hold_out as hold_out, shared_images as shared_images
from .layouts import pair_corrupted as pair_corrupted
from .pictures import Pictures as Pictures
from .precomputed import CLEAN as CLEAN, StoredCell as StoredCell, StoredSuite as StoredSuite
from .registry import load_dataset as load_dataset
from .request import OnItems as OnItems, quietly as quietly
from .user_data import Data as Data, as_dataset as as_dataset, name_of as name_of
from .valid_classes import with_valid_classes as with_valid_classes
