"""Runs with known numbers, in memory or as a directory, made without the engine."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from robustbench_act.records import RunInfo, pack_outcomes
from robustbench_act.run import Run

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
    """The rows of a run; change them, then `write` it, or take it as a `run`.

    `correct` has for each checkpoint either how many of N images are right in each cell, the clean one first,
    or which: bool (cells, images). A checkpoint is an (activation, training seed), or a name for one of
    `activation`.
    """

    correct: Mapping[Any, Any] = field(default_factory=lambda: dict(CORRECT))
    architecture: str = "net"
    activation: str = "relu"
    normalization: str | Mapping[str, str] = "batch"  # of all, or of each checkpoint by its name
    info: dict[str, Any] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    probes: bool = True
    corruptions: Sequence[tuple[str, str]] = CORRUPTIONS
    layer_names: Sequence[tuple[str, int]] = LAYERS
    severities: Sequence[float] = SEVERITIES

    def checkpoints(self) -> Iterator[tuple[dict[str, Any], NDArray[np.bool_]]]:
        """Yield who each checkpoint is, and which images it has right in each cell."""
        for place, (key, own) in enumerate(self.correct.items(), start=1):
            activation, seed = key if isinstance(key, tuple) else (self.activation, place)
            name = f"{activation}-{seed}" if isinstance(key, tuple) else key
            facts = {"checkpoint": name, "architecture": self.architecture, "activation": activation}
            norm = self.normalization if isinstance(self.normalization, str) else self.normalization[name]
            facts |= {"normalization": norm, "network_group": ""}
            right = np.asarray(own)
            outcomes = right if right.dtype == bool else right[:, None] > ORDER
            yield {**facts, "training_seed": seed, "dataset": "toy"}, outcomes

    @property
    def images(self) -> pd.DataFrame:
        count = max(right.shape[1] for _, right in self.checkpoints())
        return pd.DataFrame({"id": range(count), "label": pd.array(np.resize(LABELS, count), dtype="Int64")})

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
        for keys, outcomes in self.checkpoints():
            error = self.failed.get(keys["checkpoint"])
            for cell, right in zip(self.grid(), outcomes, strict=True):
                rows.append({**keys, **cell, **(_FAILED if error else _measured(right)), "error": error})
        return pd.DataFrame(rows)

    def layers(self) -> pd.DataFrame:
        rows = []
        for place, (keys, _) in enumerate(self.checkpoints()):
            if not self.probes or keys["checkpoint"] in self.failed:
                continue
            for cell, (index, (layer, elements)) in product(self.grid(), enumerate(self.layer_names)):
                size = cell["severity"] * (index + 1)
                rows.append(
                    {**keys, **cell, "layer": layer, "index": index, "elements": elements}
                    | {"input_fluctuation_mean": 4.0 * size, "input_fluctuation_var": 9.0 * cell["severity"]}
                    | {"output_fluctuation_mean": (1.0 + place) * size, "output_fluctuation_var": 4.0 * size}
                    | {"output_relative_mean": 0.1 * (5 - place) * size}
                    | {"input_disturbance_mean": 0.2 * size}
                    | {"scale_free_amplification_mean": 0.6 + 0.1 * place if size else None}
                    | {"activation_mean": 0.1 * place - 0.1 * index, "activation_abs_mean": 0.3 + 0.1 * place}
                    | {"activation_offset": 0.01 * place}
                    | {f"activation_q{share:02d}": 0.1 * place + share / 100 for share in (5, 25, 50, 75, 95)}
                    | dict.fromkeys(("rho", "rho_prime"), None if cell["severity"] else 0.5 + 0.1 * place)
                )
        return pd.DataFrame(rows)

    def run_json(self) -> dict[str, Any]:
        checkpoints = []
        for keys, _ in self.checkpoints():
            name, error = keys["checkpoint"], self.failed.get(keys["checkpoint"])
            facts = {"name": name, "digest": f"d1635{name.replace('-', '')}", "recipe": {"lr": 0.1}}
            view = {"classes": len(CLASSES), "input_size": [1, 8, 8], "mean": [0.5], "std": [0.5]}
            checkpoints.append(
                {**keys, **facts, **view, "status": "failed" if error else "ok", "error": error}
            )
        suite = {"name": "core", "hash": "5ea1ed00", "table": "32", "corruptions": ["gaussian_noise", "fog"]}
        images = {"name": "toy", "images": len(self.images), "digest": "0ddba11", "classes": list(CLASSES)}
        return {
            "schema_version": 1,
            "product": "actrobust",
            "version": "9.8.7",
            "created": "2025-01-02T03:04:05+00:00",
            "command": "actrobust evaluate --suite 'core' --severity 1,5",
            "seed": 42,
            "dataset": images,
            "suites": [suite],
            "severities": list(self.severities),
            "checkpoints": checkpoints,
            "probe": {"images": 256} if self.probes else None,
            "device": "cpu",
            "libraries": {"torch": "2.9.0"},
            "unheard_of": {"deep": [1, {"er": None}]},
            **self.info,
        }

    def run(self, path: str = "simulated") -> Run:
        """Return the run without a directory."""
        info = RunInfo.from_json(self.run_json(), where=path)
        return Run(Path(path), info, self.cells(), self.layers(), self.images)

    def write(self, folder: Path) -> Path:
        for name in ("cells", "layers", "samples"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "run.json").write_text(json.dumps(self.run_json()), encoding="utf-8")
        cells = self.cells()
        half = len(cells) // 2  # two parts: a run may be written in several
        cells[:half].to_parquet(folder / "cells" / "part-0.parquet")
        cells[half:].to_parquet(folder / "cells" / "part-1.parquet")
        self.images.to_parquet(folder / "images.parquet")
        layers = self.layers()
        if not layers.empty:
            layers.to_parquet(folder / "layers" / "part-0.parquet")
        for name in ("gaussian_noise", "clean"):
            (folder / "samples" / f"{name}.png").write_bytes(png(12, 8))
        return folder


_RATES = {
    "loss": 1.5,
    "agreement": 0.5,
    "top5": 0.9,
    "brier": 0.4,
    "ece": 0.1,
    "ece_debiased": 0.05,
    "ece_mass": 0.1,
    "severity_flips": 0.2,
}
_FAILED: Mapping[str, Any] = {
    **{"n": 0, "correct": 0, "accuracy": None, "outcomes": b"", "predicted": ""},
    **dict.fromkeys(_RATES),
}


def _measured(right: NDArray[np.bool_]) -> dict[str, Any]:
    shown = [label if own else 3 - label for label, own in zip(LABELS[:4], right[:4], strict=False)]
    return {
        "n": len(right),
        "correct": int(right.sum()),
        "accuracy": float(right.mean()),
        **_RATES,
        "outcomes": pack_outcomes(right[None])[0],
        "predicted": " ".join(map(str, shown)),
    }


def simulated_run(
    right: Mapping[str, NDArray[np.bool_]],
    *,
    corruptions: Sequence[tuple[str, str]] = (("shot_noise", "noise"), ("fog", "weather")),
    severities: Sequence[float] = (1.0, 3.0),
    activation: str = "relu",
    path: str = "simulated",
) -> Run:
    """Return a run of checkpoints with these outcomes, bool (1 + cells, images), the clean cell first."""
    builder = Builder(right, activation=activation, corruptions=corruptions, severities=severities)
    builder.probes = False
    return builder.run(path)


def with_error(run: Run, checkpoint: str, error: str) -> Run:
    """Return the run with one cell of a checkpoint failed."""
    cells = run.cells.copy()
    row = cells.index[cells["checkpoint"] == checkpoint][-1]
    for name, value in {"error": error, "accuracy": np.nan, "outcomes": b"", "n": 0, "correct": 0}.items():
        cells.loc[row, name] = value  # type: ignore[call-overload]
    return replace(run, cells=cells)


def with_info(run: Run, **changes: Any) -> Run:
    """Return the run with other values in its info."""
    return replace(run, info=replace(run.info, **changes))


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
