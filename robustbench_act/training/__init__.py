"""Networks trained in a grid of activations x normalisations x training seeds, with the papers' recipe."""

from robustbench_act.training.api import train
from robustbench_act.training.augmentation import AUGMENTATIONS, add_noise
from robustbench_act.training.grid import Job, Recipe, is_trained, plan_grid, step_count
from robustbench_act.training.moments import parse_moments, steps_at
from robustbench_act.training.networks import train_checkpoint
from robustbench_act.training.parts import Parts, open_parts
from robustbench_act.training.rates import LearningRates
from robustbench_act.training.watching import CHECK_IMAGES, TRACK_IMAGES, Watch, probe_in_training

__all__ = [
    "AUGMENTATIONS",
    "CHECK_IMAGES",
    "TRACK_IMAGES",
    "Job",
    "LearningRates",
    "Parts",
    "Recipe",
    "Watch",
    "add_noise",
    "is_trained",
    "open_parts",
    "parse_moments",
    "plan_grid",
    "probe_in_training",
    "step_count",
    "steps_at",
    "train",
    "train_checkpoint",
]
