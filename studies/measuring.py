"""The stages evaluate and probe: tables of which images are classified right, and of layers."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

import robustbench_act
from corruptions import Cell
from robustbench_act.checkpoints import load_checkpoint
from robustbench_act.datasets import load_dataset
from robustbench_act.errors import InputError
from robustbench_act.evaluation import probe_layers
from robustbench_act.metrics import image_accuracy_by_corruption
from robustbench_act.run import Run, load_run
from robustbench_act.tally.outcomes import outcomes
from studies.study import Study
from studies.tables import write_parquet
from studies.training import in_processes, unpack

_CLEAN = "brightness"  # a run has to have a corruption; of this one nothing but the clean images is used
_LAYERS = [
    "network",
    "condition",
    "layer",
    "elements",
    "n",
    "activation_offset",
    "input_fluctuation_mean",
    "output_fluctuation_mean",
    "output_fluctuation_var",
    "scale_free_amplification_mean",
    "scale_free_amplification_var",
]


def evaluate_networks(study: Study, processes: int) -> None:
    """Evaluate all networks, with each seed of the corruptions; write results/outcomes, cells and clean."""
    if all((study.results / f"{name}.parquet").exists() for name in ("outcomes", "cells", "clean")):
        return
    unpack(study)
    settings = study.evaluate
    counts, cells = [], []
    for seed in settings["seeds"]:
        run = _evaluate(
            study,
            f"seed{seed}",
            processes,
            suites=["c19", "shift"],
            seed=seed,
            severities=settings["severities"],
            limit=settings["images"],
        )
        counts.append(pd.concat(_counts(run)).assign(corruption_seed=seed))
        cells.append(_cells(run).assign(corruption_seed=seed))
    clean = _evaluate(study, "clean", processes, corruptions=[_CLEAN], severities=[1])
    write_parquet(study.results / "outcomes.parquet", pd.concat(counts, ignore_index=True))
    write_parquet(study.results / "cells.parquet", pd.concat(cells, ignore_index=True))
    write_parquet(study.results / "clean.parquet", pd.concat(_clean(clean), ignore_index=True))


def write_report(study: Study, processes: int) -> None:
    """Write results/report.html: of the run with the first seed of the corruptions, without its pictures."""
    folder = study.work / "runs" / f"seed{study.evaluate['seeds'][0]}"
    if not folder.exists() and (study.results / "report.html").exists():
        return
    if not folder.exists():
        raise InputError(f"{folder}: no such run; run the stage evaluate first.")
    with TemporaryDirectory() as copy:
        shutil.copytree(folder, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("samples"))
        load_run(copy).report(out=study.results)


def probe_networks(study: Study, processes: int) -> None:
    """Measure the layers of all networks, clean, shifted and with noise injected; write results/layers."""
    path = study.results / "layers.parquet"
    if path.exists():
        return
    unpack(study)
    files = sorted(study.unpacked.glob("*.safetensors"))
    tasks = [partial(_probe, study, files[start : start + 4]) for start in range(0, len(files), 4)]
    write_parquet(path, pd.concat(in_processes(tasks, processes), ignore_index=True)[_LAYERS])


def _evaluate(study: Study, name: str, processes: int, **settings: Any) -> Run:
    return robustbench_act.evaluate(
        study.unpacked,
        dataset=study.data,
        probes=False,
        processes=processes,
        out=study.work / "runs" / name,
        **settings,
    )


def _counts(run: Run) -> Iterator[pd.DataFrame]:
    """Yield for each network how many versions of each image are right, by group."""
    groups = run.cells.drop_duplicates("corruption").set_index("corruption")["group"]
    for name, own in run.cells.groupby("checkpoint", sort=True):
        severities = own.loc[own["severity"] > 0, "severity"].nunique()
        right = (image_accuracy_by_corruption(own) * severities).round()
        counts = right.groupby(groups.loc[right.index].to_numpy()).sum().T.astype(np.uint8)
        counts.insert(0, "network", name)
        counts.insert(1, "image", np.arange(len(counts), dtype=np.uint16))
        yield counts


def _cells(run: Run) -> pd.DataFrame:
    columns = ["checkpoint", "corruption", "group", "severity", "n", "correct"]
    return run.cells[columns].rename(columns={"checkpoint": "network"})


def _clean(run: Run) -> Iterator[pd.DataFrame]:
    for name, own in run.cells[run.cells["severity"] == 0].groupby("checkpoint", sort=True):
        right = outcomes(own)[0]
        images = np.arange(len(right), dtype=np.uint16)
        yield pd.DataFrame({"network": name, "image": images, "right": right})


def _probe(study: Study, files: list[Path]) -> pd.DataFrame:
    """Return the rows of some networks; those of each are kept in a file of its own."""
    settings = study.probe
    shift, _, severity = settings["shift"].partition(":")
    cell = Cell(shift, float(severity))
    data = load_dataset(study.data).subset(settings["images"])
    few = data.subset(settings["injected_images"])
    tables = []
    for file in files:
        kept = study.work / "probe" / f"{file.stem}.parquet"
        if not kept.exists():
            checkpoint = load_checkpoint(file)
            shifted = probe_layers(checkpoint, data, cell=cell)
            parts = [
                shifted[shifted["version"] == 0].assign(condition="clean"),
                shifted[shifted["version"] == 1].assign(condition=settings["shift"]),
            ]
            for injection in settings["injections"]:
                table = probe_layers(checkpoint, few, cell=cell, inject=injection)
                parts.append(table[table["version"] == 1].assign(condition=injection))
            write_parquet(kept, pd.concat(parts, ignore_index=True).assign(network=file.stem))
            print(f"{file.stem}: layers measured", flush=True)
        tables.append(pd.read_parquet(kept))
    return pd.concat(tables, ignore_index=True)
