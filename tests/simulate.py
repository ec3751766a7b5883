"""Runs with outcomes that a test decides, made without the engine."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from robustbench_act.records import Run, pack_outcomes

CORRUPTIONS = (("shot_noise", "noise"), ("fog", "weather"))
SEVERITIES = (1.0, 3.0)


def simulated_run(
    right: Mapping[str, NDArray[np.bool_]],
    *,
    corruptions: Sequence[tuple[str, str]] = CORRUPTIONS,
    severities: Sequence[float] = SEVERITIES,
    seed: int = 0,
    activation: str = "relu",
    path: str = "simulated",
) -> Run:
    """Return a run of checkpoints with these outcomes, bool (1 + cells, images), the clean cell first."""
    images = len(next(iter(right.values()))[0])
    cells = [(name, group, severity) for (name, group), severity in product(corruptions, severities)]
    grid = [("clean", "clean", 0.0), *cells]
    others = dict.fromkeys(("top5", "brier", "agreement", "flips", "ece", "ece_mass"), 0.5)
    rows: list[dict[str, Any]] = []
    for place, (checkpoint, outcomes) in enumerate(right.items()):
        facts = {"checkpoint": checkpoint, "architecture": "net", "activation": activation}
        facts |= {"dataset": "toy", "suite": "core", "table": "32", "pixels": "p"}
        packed = pack_outcomes(outcomes)
        for (corruption, group, severity), bits, own in zip(grid, packed, outcomes, strict=True):
            cell = {"corruption": corruption, "group": group, "severity": severity, "outcomes": bits}
            counts = {"n": images, "correct": int(own.sum()), "accuracy": float(own.mean()), "loss": 1.0}
            rows.append({**facts, **cell, **counts, **others, "training_seed": place + 1, "error": None})
    info: dict[str, Any] = {
        "version": "0",
        "created": "2026-01-01",
        "seed": seed,
        "severities": list(severities),
        "dataset": {"name": "toy", "images": images, "classes": ["a", "b"], "digest": f"d{images}"},
        "suites": [{"name": "core", "hash": "5ea1ed00", "table": "32", "corruptions": ["shot_noise", "fog"]}],
        "device": "cpu",
        "checkpoints": [
            {
                "name": name,
                "digest": "0",
                "architecture": "net",
                "activation": activation,
                "classes": 2,
                "input_size": (1, 8, 8),
                "mean": (0.5,),
                "std": (0.5,),
                "status": "ok",
                "error": None,
            }
            for name in right
        ],
    }
    labels = pd.DataFrame({"id": range(images), "label": np.arange(images) % 2})
    return Run(Path(path), info, pd.DataFrame(rows), pd.DataFrame(), labels)


def with_error(run: Run, checkpoint: str, error: str) -> Run:
    """Return the run with one cell of a checkpoint failed."""
    cells = run.cells.copy()
    row = cells.index[cells["checkpoint"] == checkpoint][-1]
    for name, value in {"error": error, "accuracy": np.nan, "outcomes": b"", "n": 0, "correct": 0}.items():
        cells.loc[row, name] = value  # type: ignore[call-overload]
    return Run(run.path, run.info, cells, run.layers, run.images)


def with_info(run: Run, **changes: Any) -> Run:
    """Return the run with other values in its info."""
    return Run(run.path, {**run.info, **changes}, run.cells, run.layers, run.images)
