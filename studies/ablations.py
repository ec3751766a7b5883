"""The stage ablations: networks that differ from the study in one thing. Exploratory: no tests."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

import robustbench_act
from corruptions.toml_files import read_toml
from robustbench_act.activations.registry import resolve
from robustbench_act.training import plan_grid
from studies.study import Study
from studies.tables import write_csv
from studies.training import in_processes, train_all, unpack

_COLUMNS = {"activation": "activation", "training_seed": "training_seed", "clean": "clean", "mca": "c19",
            "group_noise": "noise"}  # fmt: skip


def run_ablations(study: Study, processes: int) -> None:
    """Train and evaluate what ablations.toml lists; write results/ablations.csv. Nothing without the file."""
    listed, path = study.home / "ablations.toml", study.results / "ablations.csv"
    if path.exists() or not listed.exists():
        return
    given = read_toml(listed, what="ablations")
    groups = {name: own for name, own in given.items() if isinstance(own, dict)}
    seeds = given["seeds"]
    tasks = [
        partial(train_all, study, name, seeds=seeds, out=_folder(study, group), **_settings(study, own, name))
        for group, own in groups.items()
        for name in own["activation"]
        if not _is_study(own)
    ]
    for _ in in_processes(tasks, processes):
        pass
    unpack(study)
    tables = [_evaluate(study, name, given, processes) for name in groups]
    write_csv(path, pd.concat(tables, ignore_index=True))


def _is_study(own: Mapping[str, Any]) -> bool:
    """Tell whether nothing differs from the study, so that its networks are taken."""
    return own.keys() == {"activation"} and "(" not in "".join(own["activation"])


def _folder(study: Study, name: str) -> Path:
    return study.work / "ablations" / name / "networks"


def _settings(study: Study, own: Mapping[str, Any], activation: str) -> dict[str, Any]:
    base, _ = resolve(activation)
    given = {key: value for key, value in own.items() if key != "activation"}
    return {**study.train, "track": None, "validate_every": None, "lr": study.rates()[base], **given}


def _evaluate(study: Study, name: str, given: Mapping[str, Any], processes: int) -> pd.DataFrame:
    folder, own = _folder(study, name), given[name]
    networks: Path | list[Path] = folder
    if _is_study(own):
        jobs = plan_grid(own["activation"], given["seeds"], study.unpacked)
        networks = [job.path for job in jobs]
    run = robustbench_act.evaluate(
        networks,
        dataset=study.data,
        suites=["c19"],
        severities=given["severities"],
        limit=given["images"],
        probes=False,
        processes=processes,
        out=folder.parent / "run",
    )
    table = run.summary()[[*_COLUMNS]].rename(columns=_COLUMNS)
    table.insert(0, "ablation", name)
    return table
