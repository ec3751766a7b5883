"""Networks trained in a grid of activations x normalisations x training seeds, with the papers' recipe."""

from robustbench_act.training.api import train
from robustbench_act.training.grid import (
    AUGMENTATIONS,
    Job,
    Recipe,
    is_trained,
    parse_epochs,
    plan_grid,
    step_count,
)
from robustbench_act.training.networks import TRACK_IMAGES, probe_epoch, train_checkpoint
from robustbench_act.training.parts import Parts, open_parts

__all__ = [
    "AUGMENTATIONS",
    "TRACK_IMAGES",
    "Job",
    "Parts",
    "Recipe",
    "is_trained",
    "open_parts",
    "parse_epochs",
    "plan_grid",
    "probe_epoch",
    "step_count",
    "train",
    "train_checkpoint",
]
