"""Clean against corrupted accuracy: what was gained, and what was paid for it."""

from functools import partial

import numpy as np
import pandas as pd

from reports.analysis import Analysis, anchor_of
from reports.figures.scatter import TRADEOFF_SIZE, trade_off
from reports.layout import Drawing, Panel, Section
from reports.names import label
from reports.number_formats import percent
from robustbench_act.english import count


def tradeoff(analysis: Analysis) -> Section:
    """Return the section: a dot for each activation and each checkpoint, and the line of equal retention."""
    title = f"Clean against corrupted {analysis.measure}"
    if analysis.nothing:
        return Section("tradeoff", title, "Clean / corrupted", nothing=analysis.nothing)
    drawings = [
        _drawing(own, analysis, name=f"tradeoff-{place}")
        for place, (_, own) in enumerate(analysis.scores.groupby("architecture"))
    ]
    content = {"anchor": label(analysis.anchor) if analysis.anchor else "", "legend": analysis.legend}
    return Section("tradeoff", title, "Clean / corrupted", content, panels=[Panel("", drawings)])


def _drawing(scores: pd.DataFrame, analysis: Analysis, *, name: str) -> Drawing:
    anchor = anchor_of(scores["activation"].unique())
    base = scores[scores["activation"] == anchor]
    kept = base["corrupted"].mean() / base["clean"].mean() if base["clean"].sum() > 0 else np.nan
    data = scores[["architecture", "activation", "checkpoint", "training_seed", "clean", "corrupted"]]
    data = data.assign(expected=data["clean"] * kept)
    architecture = str(scores["architecture"].iloc[0])
    return Drawing(
        name=name,
        heading=architecture,
        finding=tradeoff_finding(data, anchor),
        draw=partial(trade_off, data, measure=analysis.measure),
        size=TRADEOFF_SIZE,
        data=data,
    )


def tradeoff_finding(scores: pd.DataFrame, anchor: str | None) -> str:
    """Say who keeps most, and how many activations keep a larger share than the anchor does."""
    means = scores.groupby("activation")[["clean", "corrupted", "expected"]].mean()
    best = means.sort_values("corrupted", kind="stable").iloc[-1]
    kept, clean = percent(best["corrupted"]), percent(best["clean"])
    text = f"{label(str(best.name))} keeps most: {kept}% corrupted at {clean}% clean"
    if anchor is None or means["expected"].isna().all() or len(means) == 1:
        return text
    others = means.drop(index=anchor)
    above = int((others["corrupted"] > others["expected"]).sum())
    compared = count(len(others), "other activation")
    return f"{text}; {above} of {compared} keep a larger share than {label(anchor)}"
