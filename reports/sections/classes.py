"""Which classes lose: accuracy on corrupted images, class by class."""

from typing import Any

from reports.analysis import Analysis
from reports.layout import Section
from reports.multi_run.sentences import moved
from reports.multi_run.tables import FEWEST
from reports.number_formats import percent
from reports.sections.cells import change_cell
from reports.style import heat_step
from robustbench_act import metrics
from robustbench_act.english import upper_first

MOST = 20
"""Classes that are shown, at most: those of the lowest accuracy."""

NOT_RECORDED = f"{upper_first(metrics.NO_OUTCOMES)}: it was made before outcomes were recorded."
NO_LABELS = "The images have no labels, so there are no classes to tell apart."


def classes(analysis: Analysis) -> Section:
    """Return the section."""
    title, labels = "Class by class", analysis.run.labels
    nothing = analysis.nothing or (NO_LABELS if labels is None else "")
    nothing = nothing or (NOT_RECORDED if analysis.outcomes is None else "")
    if nothing or labels is None:
        return Section("classes", title, "Classes", nothing=nothing)
    table = metrics.class_accuracy(analysis.run.cells, labels)
    groups = analysis.scores.set_index("checkpoint")[["architecture", "activation"]]
    table = table.join(groups, on="checkpoint")
    keys = ["architecture", "activation", "label"]
    means = table.groupby(keys)[["clean", "mca"]].mean().assign(n=table.groupby(keys)["n"].first())
    wide = means["mca"].unstack(["architecture", "activation"])
    wide = wide[list(analysis.board[["architecture", "activation"]].itertuples(index=False, name=None))]
    images = table.drop_duplicates("label").set_index("label")["n"]
    order = wide.mean(axis=1).sort_values(kind="stable").index
    shown = list(order[:MOST])
    moves = list(analysis.class_changes.groupby(["base", "run"], sort=False)) if len(analysis.between) else []
    changes = [own.set_index("label").loc[shown, ["change", "adjusted"]].to_numpy() for _, own in moves]
    content = {
        "columns": analysis.columns,
        "rows": [
            {
                "name": _name(analysis, place),
                "images": int(images[place]),
                "cells": _cells(wide.loc[place]),
                "changes": [change_cell(*own[at]) for own in changes],
            }
            for at, place in enumerate(shown)
        ],
        "runs": [f"{base} → {run}" for (base, run), _ in moves],
        "moved": list(filter(None, (_moved(analysis, pair, own) for pair, own in moves))),
        "fewest": FEWEST if any(own["p"].isna().any() for _, own in moves) else 0,
        "left_out": max(len(order) - MOST, 0),
    }
    numbers = {"classes": means.reset_index()}
    if moves:
        numbers["classes-between"] = analysis.class_changes
    return Section("classes", title, "Classes", content, numbers=numbers)


def _moved(analysis: Analysis, runs: Any, own: Any) -> str:
    """Say which of all classes moved."""
    names = [_name(analysis, place) for place in own["label"]]
    tests = int(own["p"].notna().sum())
    said = moved(names, own, who="the mean of these networks", things="classes", tests=tests)
    return f"{' → '.join(runs)}: {said}" if said else ""


def _name(analysis: Analysis, place: Any) -> str:
    names = analysis.run.info.dataset.classes
    return str(names[place]) if 0 <= place < len(names) else str(place)


def _cells(shares: Any) -> list[dict[str, Any]]:
    return [
        {"activation": activation, "text": percent(share), "step": heat_step(share)}
        for (_, activation), share in shares.items()
    ]
