"""A small run directory with known numbers, made without the engine."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from PIL import Image

from robustbench_act.records import pack_outcomes

CORRUPTIONS = (("gaussian_noise", "noise"), ("impulse_noise", "noise"), ("fog", "weather"))
SEVERITIES = (1.0, 5.0)
N = 200
LAYERS = (("act1", 8), ("block.act2", 4))

# Correct answers of 200: clean, then (gaussian 1, 5), (impulse 1, 5), (fog 1, 5).
CORRECT: Mapping[tuple[str, int], Sequence[int]] = {
    ("relu", 11): (190, 150, 40, 140, 20, 180, 90),
    ("relu", 22): (194, 160, 50, 130, 30, 184, 94),
    ("la_silu", 11): (188, 180, 120, 176, 100, 182, 150),
    ("la_silu", 22): (192, 184, 132, 170, 110, 186, 142),
}

CLASSES = ("zero", "one", "two", "three")
LABELS = tuple(place % 4 for place in range(N))
ORDER = np.arange(N) * 37 % N  # images are right from easy to hard: those of the first numbers

SHARES = {key: [count / N for count in counts] for key, counts in CORRECT.items()}


@dataclass
class Builder:
    """The rows of a run; change them, then `write`."""

    correct: Mapping[tuple[str, int], Sequence[int]] = field(default_factory=lambda: dict(CORRECT))
    architecture: str = "net"
    info: dict[str, Any] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    probes: bool = True
    corruptions: Sequence[tuple[str, str]] = CORRUPTIONS
    layer_names: Sequence[tuple[str, int]] = LAYERS
    severities: ClassVar[tuple[float, ...]] = SEVERITIES

    def keys(self, activation: str, seed: int) -> dict[str, Any]:
        return {
            "checkpoint": f"{activation}-{seed}",
            "architecture": self.architecture,
            "activation": activation,
            "training_seed": seed,
            "dataset": "toy",
        }

    def grid(self) -> list[dict[str, Any]]:
        cell = {"suite": "core", "table": "32"}
        clean = {**cell, "corruption": "clean", "group": "clean", "severity": 0.0, "suite": "clean"}
        bad = [
            {**cell, "corruption": name, "group": group, "severity": severity}
            for (name, group), severity in product(self.corruptions, self.severities)
        ]
        return [clean, *bad]

    def cells(self) -> pd.DataFrame:
        rows = []
        for (activation, seed), counts in self.correct.items():
            keys = self.keys(activation, seed)
            error = self.failed.get(keys["checkpoint"])
            for cell, correct in zip(self.grid(), counts, strict=True):
                good: dict[str, Any] = {
                    "n": N,
                    "correct": correct,
                    "accuracy": correct / N,
                    "loss": 1.5,
                    "agreement": 0.5,
                }
                good |= {"top5": 0.9, "brier": 0.4, "ece": 0.1, "ece_mass": 0.1, "flips": 0.2}
                right = correct > ORDER
                shown = [label if right[place] else 3 - label for place, label in enumerate(LABELS[:4])]
                good |= {"outcomes": pack_outcomes(right[None])[0], "predicted": " ".join(map(str, shown))}
                bad: dict[str, Any] = {
                    "n": 0,
                    "correct": 0,
                    "accuracy": None,
                    "loss": None,
                    "agreement": None,
                }
                bad |= {"outcomes": b"", "predicted": ""}
                rows.append({**keys, **cell, **(bad if error else good), "error": error})
        return pd.DataFrame(rows)

    def layers(self) -> pd.DataFrame:
        rows = []
        for place, (activation, seed) in enumerate(self.correct):
            keys = self.keys(activation, seed)
            if not self.probes or keys["checkpoint"] in self.failed:
                continue
            for cell, (index, (layer, elements)) in product(self.grid(), enumerate(self.layer_names)):
                size = cell["severity"] * (index + 1)
                rows.append(
                    {**keys, **cell, "layer": layer, "index": index, "elements": elements}
                    | {"input_fluctuation_mean": 4.0 * size, "input_fluctuation_var": 9.0 * cell["severity"]}
                    | {"output_fluctuation_mean": (1.0 + place) * size, "output_fluctuation_var": 4.0 * size}
                    | {"output_relative_mean": 0.1 * (5 - place) * size}
                    | {"activation_mean": 0.1 * place - 0.1 * index, "activation_abs_mean": 0.3 + 0.1 * place}
                    | {f"activation_q{share:02d}": 0.1 * place + share / 100 for share in (5, 25, 50, 75, 95)}
                    | dict.fromkeys(("rho", "rho_prime"), None if cell["severity"] else 0.5 + 0.1 * place)
                )
        return pd.DataFrame(rows)

    def run_json(self) -> dict[str, Any]:
        checkpoints = []
        for activation, seed in self.correct:
            keys = self.keys(activation, seed)
            error = self.failed.get(keys["checkpoint"])
            facts = {"name": keys["checkpoint"], "digest": f"d1635{activation}{seed}", "recipe": {"lr": 0.1}}
            status = {"status": "failed" if error else "ok", "error": error}
            checkpoints.append({**keys, **facts, **status})
        suite = {"name": "core", "hash": "5ea1ed", "table": "32", "corruptions": ["gaussian_noise", "fog"]}
        return {
            "schema_version": 1,
            "product": "actrobust",
            "version": "9.8.7",
            "created": "2025-01-02T03:04:05+00:00",
            "command": "actrobust evaluate --suite 'core' --severity 1,5",
            "seed": 42,
            "dataset": {"name": "toy", "images": N, "digest": "0ddba11", "classes": list(CLASSES)},
            "suites": [suite],
            "severities": [1, 5],
            "checkpoints": checkpoints,
            "probe": {"images": 256} if self.probes else None,
            "libraries": {"torch": "2.9.0"},
            "unheard_of": {"deep": [1, {"er": None}]},
            **self.info,
        }

    def write(self, folder: Path) -> Path:
        for name in ("cells", "layers", "samples"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "run.json").write_text(json.dumps(self.run_json()), encoding="utf-8")
        cells = self.cells()
        half = len(cells) // 2  # two parts: a run may be written in several
        cells[:half].to_parquet(folder / "cells" / "part-0.parquet")
        cells[half:].to_parquet(folder / "cells" / "part-1.parquet")
        images = pd.DataFrame({"id": range(N), "label": pd.array(LABELS, dtype="Int64")})
        images.to_parquet(folder / "images.parquet")
        layers = self.layers()
        if not layers.empty:
            layers.to_parquet(folder / "layers" / "part-0.parquet")
        for name in ("gaussian_noise", "clean"):
            (folder / "samples" / f"{name}.png").write_bytes(png(12, 8))
        return folder


def png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (width, height), 128).save(buffer, format="PNG")
    return buffer.getvalue()


def by(table: pd.DataFrame, *keys: str) -> dict[Any, dict[str, Any]]:
    """Return the rows of a table by the values of its keys."""
    rows = {tuple(row[key] for key in keys): row for row in table.to_dict("records")}
    assert len(rows) == len(table)
    return {key if len(keys) > 1 else key[0]: row for key, row in rows.items()}  # type: ignore[misc]


def corruption_means(activation: str, seed: int) -> list[float]:
    """Return a checkpoint's accuracy in each corruption, mean over severities."""
    values = SHARES[activation, seed]
    return [fmean(values[1 + 2 * place : 3 + 2 * place]) for place in range(len(CORRUPTIONS))]


def score(activation: str, seed: int) -> float:
    """Return the corrupted accuracy of a checkpoint."""
    return fmean(corruption_means(activation, seed))
