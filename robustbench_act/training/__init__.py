"""Networks trained in a grid of activations x normalisations x training seeds, with the papers' recipe."""

from robustbench_act.training.api import train
from robustbench_act.training.networks import (
    AUGMENTATIONS,
    TRACK_IMAGES,
    Job,
    Parts,
    Recipe,
    is_trained,
    open_parts,
    parse_epochs,
    plan_grid,
    probe_epoch,
    step_count,
    train_checkpoint,
)

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
