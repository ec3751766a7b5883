"""How often each accuracy is reached: the distribution of all results, which a mean hides."""

from functools import partial

import numpy as np
import pandas as pd

from reports.analysis import Analysis
from reports.figures.scores import SCORES_SIZE, draw_profiles
from reports.grid import Grid
from reports.layout import Drawing, Panel, Section
from reports.names import label
from reports.number_formats import percent
from robustbench_act.english import upper_first
from robustbench_act.metrics import COHORT
from robustbench_act.statistics.rounding import ROUNDING

HALF = 0.5


def scores(analysis: Analysis) -> Section:
    """Return the section: a curve for each activation, over its networks and the headline's cells."""
    title, short = f"How often each {analysis.measure} is reached", "Distribution"
    if analysis.nothing:
        return Section("scores", title, short, nothing=analysis.nothing)
    drawings = [
        Drawing(
            name=f"scores-{place}",
            heading=str(architecture),
            finding=scores_finding(own, analysis.measure),
            draw=partial(draw_profiles, own, measure=analysis.measure),
            size=SCORES_SIZE,
            data=own,
        )
        for place, (architecture, own) in enumerate(score_profiles(analysis.grid).groupby("architecture"))
    ]
    return Section("scores", title, short, {"legend": analysis.legend}, panels=[Panel("", drawings)])


def score_profiles(grid: Grid) -> pd.DataFrame:
    """Return how often each accuracy is reached: architecture, activation, least and share.

    share is that of all results of the activation (each network in each cell of the headline) whose accuracy
    is `least` or more, for `least` from 0 to 1 in hundredths.
    """
    results = grid.shares[:, grid.counted, :].reshape(len(grid.checkpoints), -1)
    least = np.arange(101) / 100
    frames = []
    for (architecture, activation), rows in grid.checkpoints.groupby(COHORT):
        own = results[rows.index]
        own = own[~np.isnan(own)]
        share = (own >= least[:, None] - ROUNDING).mean(axis=1)
        names = {"architecture": architecture, "activation": activation}
        frames.append(pd.DataFrame({**names, "least": least, "share": share}))
    return pd.concat(frames, ignore_index=True)


def scores_finding(profiles: pd.DataFrame, measure: str) -> str:
    """Say whose results reach one half most often, and whose least often."""
    at_half = profiles[profiles["least"] == HALF].sort_values("share", kind="stable")
    most, least = at_half.iloc[-1], at_half.iloc[0]
    text = f"{upper_first(measure)} of {percent(HALF).removesuffix('.0')}% or more: {_whose(most)}"
    return text if len(at_half) == 1 else f"{text}, {_whose(least)}"


def _whose(row: "pd.Series[float]") -> str:
    return f"{label(str(row['activation']))} in {percent(row['share'])}% of its results"
