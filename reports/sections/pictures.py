"""Sample images, and what the networks took them for."""

import base64
from typing import Any

import pandas as pd

from reports import tables
from reports.analysis import Analysis
from reports.layout import Section
from reports.names import label
from reports.style import activation_line

NO_PICTURES = "This run holds no sample images (its folder samples/ is empty or absent)."


SHORT = 3
"""Letters of a class name that a table of predictions has room for; for longer names it has the number."""

LISTED = 100
"""Classes whose names are listed, at most."""


def pictures(analysis: Analysis) -> Section:
    """Return the section: a strip for each corruption; of each activation's first network the predictions."""
    run = analysis.run
    order = tables.corruption_order(run.cells)
    known = pd.DataFrame(columns=["corruption", "suite"]) if analysis.nothing else analysis.grid.corruptions
    suites = dict(zip(known["corruption"], known["suite"], strict=True))
    strips = [
        {
            "corruption": name,
            "suite": suites.get(name, ""),
            "uri": _data_uri(run.samples[_raw(name)]),
            "size": _png_size(run.samples[_raw(name)]),
            "predictions": _predictions(analysis, name),
        }
        for _, name in order
        if _raw(name) in run.samples
    ]
    classes = [str(name) for name in run.info.dataset.classes]
    lengthy = len(classes) <= LISTED and any(len(name) > SHORT for name in classes)
    content = {
        "short": SHORT,
        "strips": strips,
        "absent": [name for _, name in order if _raw(name) not in run.samples],
        "columns": ["clean", *(f"{severity:g}" for severity in run.info.severities)],
        "labels": _labels(analysis),
        "classes": classes,
        "key": ", ".join(f"{place} {name}" for place, name in enumerate(classes)) if lengthy else "",
    }
    return Section(  # "samples" is its address on the page, and the run's folder
        "samples", "What the networks saw", "Images", content, nothing="" if strips else NO_PICTURES
    )


def _labels(analysis: Analysis) -> list[int] | None:
    return None if analysis.run.labels is None else analysis.run.labels.tolist()


def _predictions(analysis: Analysis, corruption: str) -> list[dict[str, Any]]:
    """Return a row for each activation: its first network's predictions for the sample images, by version."""
    if analysis.nothing or "predicted" not in analysis.cells or analysis.cells["predicted"].isna().any():
        return []
    firsts = analysis.scores.drop_duplicates(["architecture", "activation"])
    order = analysis.board.merge(firsts[["architecture", "activation", "checkpoint"]])
    severities = [0.0, *map(float, analysis.run.info.severities)]
    rows = []
    for row in order.itertuples():
        own = analysis.cells[analysis.cells["checkpoint"] == row.checkpoint]
        shown = pd.concat([own[own["severity"] == 0][:1], own[own["corruption"] == _raw(corruption)]])
        texts = shown.drop_duplicates("severity").set_index("severity")["predicted"].reindex(severities)
        name = str(row.activation)
        versions = [[int(place) for place in text.split()] for text in texts.fillna("")]
        facts = {"activation": name, "label": label(name), "line": activation_line(name)}
        rows.append({**facts, "versions": versions})
    return rows


def _raw(corruption: str) -> str:
    """Return the name of a corruption without its table of constants."""
    return corruption.partition(" [")[0]


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _png_size(data: bytes) -> tuple[int, int]:
    """Return width and height, which stand at a fixed place in every PNG (the IHDR chunk)."""
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
