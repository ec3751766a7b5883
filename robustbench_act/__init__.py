"""Checkpoints, activations, datasets, probes and evaluation: how robust networks are to noise, and why.

Names are loaded when they are first used, so that tables and reports do without torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

from robustbench_act.version import __version__

if TYPE_CHECKING:
    from robustbench_act.activations import get_activation, list_activations, replace_activations
    from robustbench_act.checkpoints import Checkpoint, Spec, load_checkpoint, save_checkpoint
    from robustbench_act.datasets import Dataset, list_datasets, load_dataset
    from robustbench_act.errors import InputError
    from robustbench_act.evaluation import evaluate
    from robustbench_act.models import build_model, list_architectures
    from robustbench_act.records import Run, load_run
    from robustbench_act.statistics import layer_correlations

_HOMES = {
    "Checkpoint": "checkpoints",
    "Dataset": "datasets",
    "InputError": "errors",
    "Run": "records",
    "Spec": "checkpoints",
    "build_model": "models",
    "evaluate": "evaluation",
    "get_activation": "activations",
    "layer_correlations": "statistics",
    "list_activations": "activations",
    "list_architectures": "models",
    "list_datasets": "datasets",
    "load_checkpoint": "checkpoints",
    "load_dataset": "datasets",
    "load_run": "records",
    "replace_activations": "activations",
    "save_checkpoint": "checkpoints",
}

__all__ = [
    "Checkpoint",
    "Dataset",
    "InputError",
    "Run",
    "Spec",
    "__version__",
    "build_model",
    "evaluate",
    "get_activation",
    "layer_correlations",
    "list_activations",
    "list_architectures",
    "list_datasets",
    "load_checkpoint",
    "load_dataset",
    "load_run",
    "replace_activations",
    "save_checkpoint",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
