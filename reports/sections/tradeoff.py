"""Clean against corrupted accuracy: what was gained, and what was paid for it."""

from functools import partial

import numpy as np
import pandas as pd

from reports import words
from reports.analysis import Analysis, baseline_of
from reports.figures import TRADEOFF_SIZE, trade_off
from reports.layout import Drawing, Panel, Section
from reports.names import label


def tradeoff(analysis: Analysis) -> Section:
    """Return the section: a dot for each activation and each checkpoint, and the baseline's line."""
    title = f"Clean against corrupted {analysis.measure}"
    if analysis.nothing:
        return Section("tradeoff", title, "Clean / corrupted", nothing=analysis.nothing)
    drawings = [
        _drawing(own, analysis, name=f"tradeoff-{place}")
        for place, (_, own) in enumerate(analysis.scores.groupby("architecture"))
    ]
    content = {"baseline": label(analysis.baseline) if analysis.baseline else "", "legend": analysis.legend}
    return Section("tradeoff", title, "Clean / corrupted", content, panels=[Panel("", drawings)])


def _drawing(scores: pd.DataFrame, analysis: Analysis, *, name: str) -> Drawing:
    baseline = baseline_of(scores["activation"].unique())
    base = scores[scores["activation"] == baseline]
    kept = base["corrupted"].mean() / base["clean"].mean() if base["clean"].sum() > 0 else np.nan
    data = scores[["architecture", "activation", "checkpoint", "training_seed", "clean", "corrupted"]]
    data = data.assign(expected=data["clean"] * kept)
    architecture = str(scores["architecture"].iloc[0])
    return Drawing(
        name=name,
        heading=architecture,
        finding=words.tradeoff_finding(data, baseline),
        draw=partial(trade_off, data, measure=analysis.measure),
        size=TRADEOFF_SIZE,
        data=data,
    )
