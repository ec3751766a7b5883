"""What changed from run to run: each activation of a later run against the first run that has it."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from reports.analysis import Analysis
from reports.layout import Drawing, Section
from reports.names import label, split_run
from reports.number_formats import p_value, percent, points
from reports.sections.cells import DRAWN, change_cell, column_names, drawn_cells
from reports.style import activation_line, change_colours
from robustbench_act.comparison import LEVEL
from robustbench_act.english import upper_first
from robustbench_act.metrics import group_columns, group_label


def between(analysis: Analysis) -> Section:
    """Return the section; without content if no activation is in two runs."""
    bare = Section("between", "From run to run", "Runs")
    found = analysis.between
    if found.empty:
        return bare
    groups, several = group_columns(found), len(analysis.architectures) > 1
    runs = found[["base", "run"]].drop_duplicates()
    maps, by_corruption = list(_maps(analysis)), analysis.corruption_changes
    content = {
        "runs": f"{runs['base'][0]} → {runs['run'][0]}" if len(runs) == 1 else "",
        "groups": [upper_first(group_label(name.removeprefix("group_"))) for name in groups],
        "rows": [_row(row, groups, several=several) for row in found.to_dict("records")],
        "maps": maps,
    }
    return Section(
        bare.name,
        bare.title,
        bare.short,
        content,
        numbers={"between": found, "between-corruptions": by_corruption.replace({"name": {"": "mean"}})},
        exports=[_figure(one, place) for place, one in enumerate(maps)],
    )


def _maps(analysis: Analysis) -> Iterator[dict[str, Any]]:
    """Yield the changes under each corruption for every two runs: a column for each activation."""
    several = len(analysis.architectures) > 1
    suites = analysis.grid.suites
    all_runs = analysis.corruption_changes.groupby(["base", "run"], sort=False)
    rank = {key: place for place, key in enumerate(_keys(analysis.between))}
    for (base, run), found in all_runs:
        order = sorted(dict.fromkeys(_keys(found)), key=lambda key: rank.get(key, -1))  # the mean is first
        rows = {key: own.to_dict("records") for key, own in found.groupby(["architecture", "name"])}
        columns = [_head(*key, several=several) for key in order]
        yield {
            "runs": f"{base} → {run}",
            "columns": columns,
            "blocks": list(_blocks([rows[key] for key in order], columns, suites)),
        }


def _keys(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(table[["architecture", "name"]].itertuples(index=False, name=None))


def _head(architecture: str, name: str, *, several: bool) -> dict[str, Any]:
    """Return the head of a column; the mean over all activations has no name."""
    known = {"label": label(split_run(name)[0]), "line": activation_line(name)} if name else {"label": "mean"}
    return {"activation": name, "architecture": architecture if several else "", **known}


def _blocks(
    found: Sequence[Sequence[Mapping[Hashable, Any]]],
    columns: Sequence[Mapping[str, Any]],
    suites: Mapping[str, str],
) -> Iterator[dict[str, Any]]:
    """Yield the rows of each group of corruptions: its mean, then its members."""
    rows = list(zip(*found, strict=True))
    for group in dict.fromkeys(row[0]["group"] for row in rows):
        yield {
            "group": group_label(group),
            "rows": [
                {
                    "name": own[0]["corruption"] or f"mean of {group_label(group)}",
                    "suite": suites.get(own[0]["corruption"], ""),
                    "mean": not own[0]["corruption"],
                    "cells": [
                        change_cell(cell["change"], cell["adjusted"], column["activation"])
                        for cell, column in zip(own, columns, strict=True)
                    ],
                }
                for own in rows
                if own[0]["group"] == group
            ],
        }


def _figure(one: Mapping[str, Any], place: int) -> Drawing:
    """Return a map as a figure: at most DRAWN activations, those that fell most."""
    columns = one["columns"][:DRAWN]
    plain = [{**column, "activation": split_run(column["activation"])[0]} for column in columns]
    return drawn_cells(
        f"change-map-{place}",
        heading=f"{one['runs']}: change in points (* beyond chance in images: p < 0.05)",
        finding="How accuracy changed under each corruption",
        columns=column_names(plain),
        rows=[(row["name"], row["cells"][:DRAWN]) for block in one["blocks"] for row in block["rows"]],
        colours=lambda cell: change_colours(cell["step"]),
    )


def _row(row: Mapping[Hashable, Any], groups: list[str], *, several: bool) -> dict[str, Any]:
    over = "images" if pd.isna(row["joint_p"]) else "joint"
    kind = "noise" if not row[f"{over}_adjusted"] < LEVEL else "more" if row["mca"] > 0 else "less"
    return {
        "activation": row["name"],
        "line": activation_line(row["name"]),
        "label": label(row["activation"]) + (f", {row['architecture']}" if several else ""),
        "runs": f"{row['base']} → {row['run']}",
        "was": percent(row["was"]),
        "now": percent(row["now"]),
        "change": points(row["mca"]),
        "kind": kind,
        "interval": f"{points(row[f'{over}_low'])} to {points(row[f'{over}_high'])}",
        "p": [p_value(row["joint_adjusted"]), p_value(row["images_adjusted"])],
        "clean": points(row["clean"]),
        "groups": [points(row[name]) for name in groups],
        "lost": f"{row['lost']} {points(row['lost_change'])}",
    }
