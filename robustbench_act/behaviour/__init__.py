"""How a network treats a batch in evaluation mode, found out on a few images before a run."""

from robustbench_act.behaviour.look import CROWD, IMAGES, look_at, probe_axes
from robustbench_act.behaviour.outputs import logits_of
from robustbench_act.models.random_state import seeded

__all__ = ["CROWD", "IMAGES", "logits_of", "look_at", "probe_axes", "seeded"]
