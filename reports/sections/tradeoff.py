"""Accuracy on clean images against that on corrupted ones: what was gained, and what was paid for it."""

from functools import partial

import numpy as np
import pandas as pd

from reports.analysis import Analysis, anchor_of
from reports.figures.scatter import TRADEOFF_SIZE, trade_off
from reports.layout import Drawing, Panel, Section
from reports.names import label, noun
from reports.number_formats import percent
from robustbench_act.english import count


def tradeoff(analysis: Analysis) -> Section:
    """Return the section: a dot for each activation and each checkpoint, and the line of equal retention."""
    images = analysis.words.images
    title, short = f"Clean against {images} {analysis.measure}", f"Clean / {images}"
    if analysis.nothing:
        return Section("tradeoff", title, short, nothing=analysis.nothing)
    drawings = [
        _drawing(own, analysis, name=f"tradeoff-{place}")
        for place, (_, own) in enumerate(analysis.scores.groupby("architecture"))
    ]
    content = {"anchor": label(analysis.anchor) if analysis.anchor else "", "legend": analysis.legend}
    return Section("tradeoff", title, short, content, panels=[Panel("", drawings)])


def _drawing(scores: pd.DataFrame, analysis: Analysis, *, name: str) -> Drawing:
    anchor = anchor_of(scores["activation"].unique())
    base = scores[scores["activation"] == anchor]
    kept = base["mca"].mean() / base["clean"].mean() if base["clean"].sum() > 0 else np.nan
    data = scores[["architecture", "activation", "checkpoint", "training_seed", "clean", "mca"]]
    data = data.assign(expected=data["clean"] * kept)
    architecture = str(scores["architecture"].iloc[0])
    return Drawing(
        name=name,
        heading=architecture,
        finding=tradeoff_finding(data, anchor, images=analysis.words.images),
        draw=partial(trade_off, data, measure=analysis.measure, images=analysis.words.images),
        size=TRADEOFF_SIZE,
        data=data,
    )


def tradeoff_finding(scores: pd.DataFrame, anchor: str | None, *, images: str = "corrupted") -> str:
    """Say who is highest, and how many activations keep a larger share than the anchor does."""
    means = scores.groupby("activation")[["clean", "mca", "expected"]].mean()
    best = means.sort_values("mca", kind="stable").iloc[-1]
    kept, clean = percent(best["mca"]), percent(best["clean"])
    text = f"{label(str(best.name))} is highest: {kept}% {images} at {clean}% clean"
    if anchor is None or means["expected"].isna().all() or len(means) == 1:
        return text
    others = means.drop(index=anchor)
    above = int((others["mca"] > others["expected"]).sum())
    compared = count(len(others), f"other {noun(means.index)}")
    return f"{text}; {above} of {compared} keep a larger share than {label(anchor)}"
