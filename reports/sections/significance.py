"""Which differences are sure: every two activations, over trainings and images, and over images alone."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from reports.analysis import MOST_COMPARED, Analysis
from reports.layout import Drawing, Section, Table
from reports.names import label, short_labels
from reports.number_formats import p_text, p_value, percent, points
from reports.sections.cells import drawn_cells
from reports.style import activation_line
from robustbench_act.comparison import LEVEL


def significance(analysis: Analysis) -> Section:
    """Return the section: a matrix for each architecture."""
    title = "Which differences are sure?"
    nothing = analysis.nothing
    if not nothing and not analysis.significance:
        nothing = "There is no second activation to compare with."
    if nothing:
        return Section("significance", title, "Significance", nothing=nothing)
    matrices: list[dict[str, Any]] = []
    details, numbers = [], []
    for architecture, found in analysis.significance.items():
        first = found["a"][0]
        names = [first, *found["b"][found["a"] == first]]
        numbers.append(found.assign(architecture=architecture))
        heading = architecture if len(analysis.architectures) > 1 else ""
        matrices.append({"heading": heading, "names": names, "rows": _rows(found, names)})
        details.append(_table(found, heading))
    most = MOST_COMPARED if analysis.board.groupby("architecture").size().max() > MOST_COMPARED else 0
    content = {"matrices": matrices, "most": most}
    frame = pd.concat(numbers, ignore_index=True)
    return Section(
        "significance",
        title,
        "Significance",
        content,
        tables=details,
        numbers={"significance": frame},
        exports=[_figure(matrix, numbers[place], place) for place, matrix in enumerate(matrices)],
    )


_COLOURS = {"more": ("#dcecf7", "#0b3a5c"), "less": ("#fbe6d5", "#6b2d00"), "self": ("#f4f5f7", "#59636e")}
_PLAIN = ("#ffffff", "#59636e")


def _figure(matrix: Mapping[str, Any], found: pd.DataFrame, place: int) -> Drawing:
    """Return a matrix as a figure: the same cells."""
    labels = list(short_labels(matrix["names"]).values())
    where = f", {matrix['heading']}" if matrix["heading"] else ""
    return drawn_cells(
        f"significance-matrix-{place}",
        heading=f"Row minus column, points{where}: above trainings and images, below images alone; p < 0.05",
        finding="Differences between every two activations, with those that are sure",
        columns=labels,
        rows=[(label, row["cells"]) for label, row in zip(labels, matrix["rows"], strict=True)],
        colours=lambda cell: _COLOURS.get(cell["kind"], _PLAIN),
        data=found,
    )


def _rows(found: pd.DataFrame, names: list[str]) -> list[dict[str, Any]]:
    """Return the matrix: trainings and images above the diagonal, images alone below; row minus column."""
    pairs = {(row["a"], row["b"]): row for row in found.to_dict("records")}
    rows = []
    for place, name in enumerate(names):
        cells: list[dict[str, str]] = []
        for column, other in enumerate(names):
            if place == column:
                cells.append({"text": "", "kind": "self", "said": ""})
            elif place < column:
                cells.append(_joint(pairs[name, other]))
            else:
                cells.append(_images(pairs[other, name]))
        rows.append({"activation": name, "line": activation_line(name), "cells": cells})
    return rows


def _joint(pair: Mapping[Hashable, Any]) -> dict[str, str]:
    """Return a difference in points: coloured if it is sure, a dash if there is no test."""
    difference, p = pair["joint_difference"], pair["joint_adjusted"]
    if pd.isna(p):
        return {"text": "–", "kind": "unknown", "said": str(pair["joint_note"])}
    kind = "noise" if p >= LEVEL else "more" if difference > 0 else "less"
    shown = f"; {percent(pair['joint_detectable'])} points would be shown 4 times in 5"
    shown = shown if p >= LEVEL and pair["joint_detectable"] <= 1 else ""
    return {"text": points(difference), "kind": kind, "said": f"{p_text(p)}, trainings and images{shown}"}


def _images(pair: Mapping[Hashable, Any]) -> dict[str, str]:
    """Return column minus row in points: starred if these networks differ on other images too."""
    difference, p = -pair["images_difference"], pair["images_adjusted"]
    if pd.isna(p):
        return {"text": "–", "kind": "unknown", "said": str(pair["images_note"] or "no test")}
    star = "*" if p < LEVEL else ""
    said = f"{p_text(p)}, these trained networks alone"
    return {"text": points(difference) + star, "kind": "noise", "said": said}


def _table(found: pd.DataFrame, heading: str) -> Table:
    rows = []
    for pair in found.to_dict("records"):
        names = f"{label(pair['a'])} − {label(pair['b'])}"
        for over, what in (("joint", "trainings and images"), ("images", "images alone")):
            joint = over == "joint"
            rows.append(
                [
                    names,
                    what,
                    points(pair[f"{over}_difference"]),
                    f"{points(pair[f'{over}_low'])} to {points(pair[f'{over}_high'])}",
                    p_value(pair[f"{over}_p"]),
                    p_value(pair[f"{over}_adjusted"]),
                    percent(pair["joint_detectable"]) if joint else "",
                    percent(pair["joint_superiority"]) if joint else "",
                    pair[f"{over}_note"],
                ]
            )
    return Table(
        caption=f"Differences in points{', ' + heading if heading else ''}",
        headings=[
            *("Pair", "Over", "Difference", "95% of this pair", "p", "p (Holm)"),
            *("Shown 4 times in 5", "P(a network of the first is better), %", "Note"),
        ],
        rows=rows,
        stubs=2,
    )
