"""Which differences are beyond noise: every two activations, over images and over training seeds."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from reports.analysis import MOST_COMPARED, Analysis
from reports.layout import Drawing, Section, Table
from reports.names import label, short_labels
from reports.number_formats import p_text, p_value, plain, points
from reports.sections.cells import drawn_cells
from reports.style import activation_line
from robustbench_act.comparison import LEVEL


def significance(analysis: Analysis) -> Section:
    """Return the section: a matrix for each architecture."""
    title = "Beyond noise?"
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
    few = any("°" in cell["text"] for matrix in matrices for row in matrix["rows"] for cell in row["cells"])
    content = {"matrices": matrices, "most": most, "few": few}
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
        heading=f"Row minus column, points{where}: above over images, below over seeds; p < 0.05",
        finding="Differences between every two activations, with those that are beyond noise",
        columns=labels,
        rows=[(label, row["cells"]) for label, row in zip(labels, matrix["rows"], strict=True)],
        colours=lambda cell: _COLOURS.get(cell["kind"], _PLAIN),
        data=found,
    )


def _rows(found: pd.DataFrame, names: list[str]) -> list[dict[str, Any]]:
    """Return the matrix: over images above the diagonal, over seeds below it; row minus column."""
    pairs = {(row["a"], row["b"]): row for row in found.to_dict("records")}
    rows = []
    for place, name in enumerate(names):
        cells: list[dict[str, str]] = []
        for column, other in enumerate(names):
            if place == column:
                cells.append({"text": "", "kind": "self", "said": ""})
            elif place < column:
                cells.append(_cell(pairs[name, other], "images", 1))
            else:
                cells.append(_cell(pairs[other, name], "seeds", -1))
        rows.append({"activation": name, "line": activation_line(name), "cells": cells})
    return rows


def _cell(pair: Mapping[Hashable, Any], over: str, sign: int) -> dict[str, str]:
    """Return a difference in points: bold if it is beyond noise, a dash if there is no test."""
    difference, p = sign * pair[f"{over}_difference"], pair[f"{over}_adjusted"]
    if pd.isna(p):
        return {"text": "–", "kind": "unknown", "said": str(pair[f"{over}_note"] or "no test")}
    kind = "noise" if p >= LEVEL else "more" if difference > 0 else "less"
    mark = "°" if "cannot reject" in str(pair[f"{over}_note"]) else ""
    return {"text": points(difference) + mark, "kind": kind, "said": f"{p_text(p)} over {over}"}


def _table(found: pd.DataFrame, heading: str) -> Table:
    rows = []
    for pair in found.to_dict("records"):
        for over in ("images", "seeds"):
            rows.append(
                [
                    f"{label(pair['a'])} − {label(pair['b'])}",
                    over,
                    points(pair[f"{over}_difference"]),
                    f"{points(pair[f'{over}_low'])} to {points(pair[f'{over}_high'])}",
                    p_value(pair[f"{over}_p"]),
                    p_value(pair[f"{over}_adjusted"]),
                    plain(pair[f"{over}_pairs"]),
                    pair[f"{over}_test"] + (f"; {pair[f'{over}_note']}" if pair[f"{over}_note"] else ""),
                ]
            )
    return Table(
        caption=f"Differences in points{', ' + heading if heading else ''}",
        headings=["Pair", "Over", "Difference", "95% of this pair", "p", "p (Holm)", "Pairs", "Test"],
        rows=rows,
        stubs=2,
    )
