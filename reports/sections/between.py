"""What changed between runs side by side: each activation of a later run against the first with it."""

from collections.abc import Hashable, Mapping
from typing import Any

from reports import words
from reports.analysis import Analysis
from reports.layout import Section
from reports.names import label
from reports.style import activation_line
from robustbench_act.comparison import LEVEL
from robustbench_act.metrics import group_columns


def between(analysis: Analysis) -> Section:
    """Return the section; without content where no activation is in two runs."""
    bare = Section("between", "From run to run", "Runs")
    found = analysis.between
    if found.empty:
        return bare
    groups, several = group_columns(found), len(analysis.architectures) > 1
    runs = found[["base", "run"]].drop_duplicates()
    content = {
        "runs": f"{runs['base'][0]} → {runs['run'][0]}" if len(runs) == 1 else "",
        "groups": [words.upper_first(name.removeprefix("group_")) for name in groups],
        "rows": [_row(row, groups, several=several) for row in found.to_dict("records")],
        "few": any("cannot reject" in str(note) for note in found["seeds_note"]),
    }
    return Section(bare.name, bare.title, bare.short, content, numbers={"between": found})


def _row(row: Mapping[Hashable, Any], groups: list[str], *, several: bool) -> dict[str, Any]:
    p = row["images_adjusted"]
    kind = "noise" if not p < LEVEL else "more" if row["corrupted"] > 0 else "less"
    mark = "°" if "cannot reject" in str(row["seeds_note"]) else ""
    return {
        "activation": row["name"],
        "line": activation_line(row["name"]),
        "label": label(row["activation"]) + (f", {row['architecture']}" if several else ""),
        "runs": f"{row['base']} → {row['run']}",
        "was": words.percent(row["was"]),
        "now": words.percent(row["now"]),
        "change": words.points(row["corrupted"]),
        "kind": kind,
        "interval": f"{words.points(row['images_low'])} to {words.points(row['images_high'])}",
        "p": [words.p_value(p), words.p_value(row["seeds_adjusted"]) + mark],
        "clean": words.points(row["clean"]),
        "groups": [words.points(row[name]) for name in groups],
        "lost": f"{row['lost']} {words.points(row['lost_change'])}",
    }
