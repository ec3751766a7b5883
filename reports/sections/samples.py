"""What the networks saw, and what they took it for."""

import base64
from typing import Any

import pandas as pd

from reports import tables
from reports.digest import Digest
from reports.layout import Section
from reports.style import activation_line, label

NO_SAMPLES = "This run holds no sample images (its folder samples/ is empty or absent)."


def samples(digest: Digest) -> Section:
    """Return the section: a strip for each corruption; of each activation's first network the predictions."""
    run = digest.run
    order = tables.corruption_order(run.cells)
    known = pd.DataFrame(columns=["corruption", "suite"]) if digest.nothing else digest.grid.corruptions
    suites = dict(zip(known["corruption"], known["suite"], strict=True))
    strips = [
        {
            "corruption": name,
            "suite": suites.get(name, ""),
            "uri": _data_uri(run.samples[name]),
            "size": _png_size(run.samples[name]),
            "predictions": _predictions(digest, name),
        }
        for _, name in order
        if name in run.samples
    ]
    content = {
        "strips": strips,
        "absent": [name for _, name in order if name not in run.samples],
        "columns": ["clean", *(f"{float(severity):g}" for severity in run.info["severities"])],
        "labels": _labels(digest),
        "classes": [str(name) for name in run.info["dataset"].get("classes") or []],
    }
    return Section(
        "samples", "What the networks saw", "Images", content, nothing="" if strips else NO_SAMPLES
    )


def _labels(digest: Digest) -> list[int] | None:
    return None if digest.run.labels is None else digest.run.labels.tolist()


def _predictions(digest: Digest, corruption: str) -> list[dict[str, Any]]:
    """Return a row for each activation: what its first network took each sample image for, by version."""
    if digest.nothing or "predicted" not in digest.cells:
        return []
    firsts = digest.scores.drop_duplicates(["architecture", "activation"])
    order = digest.board.merge(firsts[["architecture", "activation", "checkpoint"]])
    rows = []
    for row in order.itertuples():
        own = digest.cells[digest.cells["checkpoint"] == row.checkpoint]
        shown = pd.concat([own[own["severity"] == 0][:1], own[own["corruption"] == corruption]])
        shown = shown.drop_duplicates("severity").sort_values("severity")
        name = str(row.activation)
        versions = [[int(place) for place in text.split()] for text in shown["predicted"]]
        rows.append(
            {"activation": name, "label": label(name), "line": activation_line(name), "versions": versions}
        )
    return rows


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _png_size(data: bytes) -> tuple[int, int]:
    """Return width and height, which stand at a fixed place in every PNG (the IHDR chunk)."""
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
