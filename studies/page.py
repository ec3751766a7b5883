"""Findings as Markdown: the verdicts, and the tables of each hypothesis."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from reports.names import label
from reports.number_formats import p_text
from studies.analysis import Analysis

QUESTIONS: Mapping[str, str] = {
    "a": "passes on less noise",
    "b": "has a mean activation nearer to zero",
    "c": "makes networks more robust (c19)",
    "c2": "makes networks more robust than this element-wise function (c19)",
    "d": "keeps the variance of gradients more alike in all layers",
    "e": "makes networks learn faster",
}
"""What each hypothesis claims of the first activation of a pair, against the second."""

_TITLES = {
    "a": "H-a: noise that is passed on",
    "a-premise": "The premise of H-a: the inputs of layers move alike",
    "b": "H-b: mean activation",
    "c": "H-c: robustness",
    "c2": "H-c2: robustness, against all element-wise functions",
    "d": "H-d: variances in all layers",
    "e": "H-e: speed of learning",
    "mediation": "Exploratory: amplification and lost accuracy",
}
_HEAD = (
    "| pair | measure | role | difference | 95 % interval | p | Holm | could be shown |",
    "|---|---|---|---|---|---|---|---|",
)
_NOTES = (
    "Differences are first − second: in points of accuracy, as ratios (× 0.9: a tenth less), or in the unit",
    "that is named. *Holm*: p corrected in its family. *Could be shown*: the true difference that as many",
    "networks show in 4 of 5 studies.",
)


def findings_page(found: Analysis) -> str:
    """Return the page of one study."""
    lines = ["<!-- made by `python -m studies NAME --stage analyse` -->", "", *_NOTES, ""]
    if found.left_out:
        seeds = ", ".join(map(str, found.left_out))
        lines += [f"Left out, since a network diverged: training seeds {seeds}.", ""]
    lines += _verdicts(found.verdicts)
    for hypothesis, rows in found.findings.groupby("hypothesis", sort=False):
        lines += ["", f"## {_TITLES[str(hypothesis)]}", "", *_HEAD, *map(_row, rows.to_dict("records"))]
    lines += ["", "## Levels", "", *_levels(found.levels)]
    return "\n".join(lines) + "\n"


def _verdicts(table: pd.DataFrame) -> Iterator[str]:
    yield "| claim | outcome |"
    yield "|---|---|"
    for hypothesis, a, b, outcome in table.itertuples(index=False, name=None):
        yield f"| H-{hypothesis}: {label(a)} {QUESTIONS[hypothesis]}, against {label(b)} | {outcome} |"


def _row(one: Mapping[Any, Any]) -> str:
    unit = one["unit"]
    low, high = one["low"], one["high"]
    cells = (
        f"{label(one['a'])} − {label(one['b'])}" if one["a"] else "",
        one["measure"].removeprefix("log ") + (f" ({one['note']})" if one["note"] else ""),
        one["role"],
        written(one["estimate"], unit),
        "" if math.isnan(low) else f"{written(low, unit)} to {written(high, unit)}",
        _p(one["p"]),
        _p(one["adjusted"]),
        "" if math.isnan(one["detectable"]) else written(one["detectable"], unit),
    )
    return f"| {' | '.join(cells)} |"


def _p(p: float) -> str:
    return "" if math.isnan(p) else p_text(p).removeprefix("p = ").removeprefix("p ")


def _levels(levels: pd.DataFrame) -> Iterator[str]:
    measures = levels["measure"].unique().tolist()
    yield f"| activation | {' | '.join(measures)} |"
    yield "|---" * (len(measures) + 1) + "|"
    percent = (100 * levels[["mean", "low", "high"]]).assign(measure=levels["measure"])
    order = levels[levels["measure"] == "c19"].sort_values("mean", ascending=False)["activation"]
    for name in order:
        own = percent[levels["activation"] == name].set_index("measure").loc[measures]
        texts = [f"{mean:.1f} ({low:.1f}–{high:.1f})" for mean, low, high in own.to_numpy()]
        yield f"| {label(name)} | {' | '.join(texts)} |"


def written(value: float, unit: str) -> str:
    """Return a difference with its sign: a ratio for logs.

    >>> written(-0.1, "log"), written(1.234, "points"), written(-0.25, "share of seeds")
    ('× 0.905', '+1.23', '−0.250')
    """
    if unit == "log":
        return f"× {math.exp(value):.3f}"
    return f"{value:+.{2 if unit == 'points' else 3}f}".replace("-", "−")
