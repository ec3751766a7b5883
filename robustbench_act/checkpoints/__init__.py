"""Checkpoints: weights with a spec."""

from robustbench_act.checkpoints.checkpoint import Checkpoint, weights_digest
from robustbench_act.checkpoints.entries import Entry, find_entries, load_entries
from robustbench_act.checkpoints.files import (
    check_storable,
    find_checkpoints,
    load_checkpoint,
    read_spec,
    save_checkpoint,
    unique_names,
)
from robustbench_act.checkpoints.spec import Spec, published_spec
from robustbench_act.checkpoints.spec_sources import common_view, wanted_view

__all__ = [
    "Checkpoint",
    "Entry",
    "Spec",
    "check_storable",
    "common_view",
    "find_checkpoints",
    "find_entries",
    "load_checkpoint",
    "load_entries",
    "published_spec",
    "read_spec",
    "save_checkpoint",
    "unique_names",
    "wanted_view",
    "weights_digest",
]
