"""Checkpoints: weights with a spec."""

from robustbench_act.checkpoints.files import (
    Checkpoint,
    find_checkpoints,
    load_checkpoint,
    load_checkpoints,
    read_spec,
    save_checkpoint,
    unique_names,
    weights_digest,
)
from robustbench_act.checkpoints.spec import Spec, published_spec
from robustbench_act.checkpoints.spec_sources import common_view, wanted_view

__all__ = [
    "Checkpoint",
    "Spec",
    "common_view",
    "find_checkpoints",
    "load_checkpoint",
    "load_checkpoints",
    "published_spec",
    "read_spec",
    "save_checkpoint",
    "unique_names",
    "wanted_view",
    "weights_digest",
]
