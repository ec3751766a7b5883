"""A run in the layout of the LayerAct paper's Tables 6 to 17, next to the published figures."""

from collections.abc import Iterator
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd

from robustbench_act.errors import InputError
from robustbench_act.metrics import AXES, with_axes
from robustbench_act.records import SHIFT, RunData, headline, headline_groups, succeeded
from robustbench_act.statistics import compare_seeds

PAPER_GROUPS = ("noise", "blur", "digital", "weather", "extra")
COLUMNS = ("clean", "total", *PAPER_GROUPS)
REFERENCES = ("la_silu", "la_hardsilu")
_KEYS = ["dataset", "architecture", "activation", *AXES]
_TABLE = [*_KEYS, "source", "statistic", "seeds", *COLUMNS, "note"]
_PUBLISHED_WIDTH = "16"


def layeract_table(run: RunData) -> pd.DataFrame:
    """Return a run as in the paper: mean, standard deviation and significance over training seeds.

    Input shifts are left out, as in the paper's tables. Raises InputError if the run has nothing else.

    Returns
    -------
    DataFrame
        dataset, architecture, activation, normalization; source: "ours" or "published" (arXiv 2306.04940:
        Tables 6 to 13 with batch normalisation, those of Tables 1 to 5 with layer normalisation and with
        none, if they cover the data set, the network and its normalisation); statistic: "mean" (Tables 6 and
        7), "std" (Tables 8 to 13, divisor k - 1), "p vs la_silu" and "p vs la_hardsilu" (Tables 14 to 17:
        paired by training seed, see `statistics.compare_seeds`; not corrected for multiplicity, as in the
        paper); seeds; clean, total (mean over corruptions) and the groups, in % or as p-values, NaN where
        unknown; note.
    """
    if headline_groups(run.cells["group"]) == [SHIFT]:
        raise InputError(
            f"{run.path}: the LayerAct paper's tables are over corruptions, this run has input shifts alone; "
            "actrobust table without --style shows them."
        )
    scores = _scores(run)
    ours = pd.DataFrame(_rows(scores), columns=_TABLE)
    return pd.concat([ours, _published(ours)], ignore_index=True)


def _scores(run: RunData) -> pd.DataFrame:
    """Return accuracy in % in COLUMNS, by _KEYS and training seed."""
    keys = [*_KEYS, "training_seed"]
    whole = with_axes(succeeded(run.cells))
    means = headline(whole).groupby([*keys, "group", "corruption"])["accuracy"].mean()
    table = pd.DataFrame({"clean": whole[whole["severity"] == 0].groupby(keys)["accuracy"].mean()})
    table["total"] = means.groupby(keys).mean()
    for group in PAPER_GROUPS:
        table[group] = means[means.index.get_level_values("group") == group].groupby(keys).mean()
    return 100 * table


def _rows(scores: pd.DataFrame) -> Iterator[list[Any]]:
    by_activation = {
        tuple(key): own.droplevel([*range(len(_KEYS))]) for key, own in scores.groupby(level=_KEYS)
    }
    for key, own in by_activation.items():
        yield [*key, "ours", "mean", len(own), *own.mean(), ""]
    for key, own in by_activation.items():
        yield [*key, "ours", "std", len(own), *own.std(ddof=1), ""]
    for reference in REFERENCES:
        for key, own in by_activation.items():
            dataset, architecture, activation, *axes = key
            other = by_activation.get((dataset, architecture, reference, *axes))
            if other is None or activation in REFERENCES:
                continue
            facts = [*key, "ours", f"p vs {reference}"]
            yield [*facts, *_significance(own, other)]


def _significance(own: pd.DataFrame, other: pd.DataFrame) -> list[Any]:
    """Return the number of shared seeds, the p-value of each of COLUMNS, and a note."""
    seeds = own.index.intersection(other.index)
    if not len(seeds):
        return [0, *[np.nan] * len(COLUMNS), "no training seed in both"]
    found = {
        name: compare_seeds(other.loc[seeds, name], own.loc[seeds, name])
        for name in COLUMNS
        if own[name].notna().all() and other[name].notna().all()
    }
    notes = dict.fromkeys(result.note for result in found.values() if result.note)
    values = [found[name].p if name in found else np.nan for name in COLUMNS]
    return [len(seeds), *values, "; ".join(notes)]


def _published(ours: pd.DataFrame) -> pd.DataFrame:
    """Return the paper's rows of the data sets and networks in `ours`, under the names used there."""
    file = resources.files("robustbench_act") / "assets" / "layeract-tables.csv"
    with file.open(encoding="utf-8") as text:
        figures = pd.read_csv(text)
    networks = ours[["dataset", "architecture", *AXES]].drop_duplicates()
    networks = networks.assign(network=networks["architecture"].map(_published_name))
    networks["normalization"] = networks["normalization"].replace("", "batch")  # all that older runs had
    figures = figures.rename(columns={"architecture": "network"})
    found = figures.merge(networks.drop_duplicates(), on=["dataset", "network", "normalization"])
    return found.assign(source="published", seeds=30, note="arXiv 2306.04940")[_TABLE]


def _published_name(architecture: str) -> str:
    """Return the paper's name of a network; "" if the paper does not have it.

    >>> _published_name("cifar:resnet20?width=16"), _published_name("cifar:resnet20?width=8")
    ('resnet20', '')
    """
    name, _, options = architecture.removeprefix("cifar:").partition("?")
    return name if options in ("", f"width={_PUBLISHED_WIDTH}") else ""
