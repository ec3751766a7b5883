"""The registered analysis of a study: from its tables of results to findings and verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from studies.analysis import anact, layeract
from studies.analysis.tables import GROUPS, Results
from studies.analysis.verdicts import verdicts


class Analysis(NamedTuple):
    """What a study found.

    Attributes
    ----------
    findings
        One row for each comparison: see `studies.analysis.contrasts.Finding`.
    verdicts
        Which claims are shown: hypothesis, a, b, outcome.
    levels
        measure, activation, mean, low, high (shares): the intervals of a measure hold together at 95 %.
    left_out
        Training seeds that are not there for all activations.
    """

    findings: pd.DataFrame
    verdicts: pd.DataFrame
    levels: pd.DataFrame
    left_out: tuple[int, ...]


def analyse(folder: Path, settings: Mapping[str, Any], activations: Sequence[str] = ()) -> Analysis:
    """Analyse the tables in a folder; `settings` is the table [analysis] of study.toml.

    Raises InputError if a table is missing, or no training seed is there for all activations.
    """
    results = Results.read(folder, activations)
    found = [
        *layeract.noise(results),
        *layeract.means(results),
        *layeract.robustness(results, clean_margin=settings.get("clean_margin")),
        *anact.variances(results),
        *anact.speed(results, settings["thresholds"]),
        *layeract.mediation(results),
    ]
    return Analysis(pd.DataFrame(map(asdict, found)), verdicts(found), _levels(results), results.left_out)


def _levels(results: Results) -> pd.DataFrame:
    wanted = {"c19": GROUPS, **{group: [group] for group in (*GROUPS, "shift")}}
    joints = {"clean": results.on_clean, **{name: results.corrupted(own) for name, own in wanted.items()}}
    rows = []
    for measure, joint in joints.items():
        low, high = joint.levels()
        for row in zip(joint.names, joint.means, low, high, strict=True):
            rows.append((measure, *row))
    return pd.DataFrame(rows, columns=["measure", "activation", "mean", "low", "high"])
