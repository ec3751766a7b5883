"""Sample images, and what the networks took them for."""

import base64
from typing import Any

from reports import tables
from reports.analysis import Analysis
from reports.layout import Section

NO_PICTURES = "This run holds no sample images (its folder samples/ is empty or absent)."


SHORT = 3
"""Letters of a class name that a table of predictions has room for; for longer names it has the number."""

LISTED = 100
"""Classes whose names are listed, at most."""


def pictures(analysis: Analysis) -> Section:
    """Return the section: a strip for each corruption; of each activation's first network the predictions."""
    run = analysis.run
    samples = {name: run.samples.get(_raw(name)) for _, name in tables.corruption_order(run.cells)}
    suites = {} if analysis.nothing else analysis.grid.suites
    predictions = _Predictions(analysis)
    strips = [
        {
            "corruption": name,
            "suite": suites.get(name, ""),
            "uri": "data:image/png;base64," + base64.b64encode(png).decode(),
            "size": _png_size(png),
            "predictions": predictions.of(_raw(name)),
        }
        for name, png in samples.items()
        if png is not None
    ]
    classes = [str(name) for name in run.info.dataset.classes]
    lengthy = len(classes) <= LISTED and any(len(name) > SHORT for name in classes)
    content = {
        "short": SHORT,
        "strips": strips,
        "absent": [name for name, png in samples.items() if png is None],
        "columns": ["clean", *(f"{severity:g}" for severity in run.info.severities)],
        "labels": None if run.labels is None else run.labels.tolist(),
        "classes": classes,
        "key": ", ".join(f"{place} {name}" for place, name in enumerate(classes)) if lengthy else "",
    }
    return Section(  # "samples" is its address on the page, and the run's folder
        "samples", "What the networks saw", "Images", content, nothing="" if strips else NO_PICTURES
    )


class _Predictions:
    """What each activation's first network predicts for the sample images."""

    def __init__(self, analysis: Analysis) -> None:
        self._order: list[tuple[str, str]] = []  # activation and checkpoint
        self._texts: dict[tuple[str, str, float], str] = {}
        cells = analysis.cells
        if analysis.nothing or "predicted" not in cells or cells["predicted"].isna().any():
            return
        firsts = analysis.scores.drop_duplicates(["architecture", "activation"])
        order = analysis.board.merge(firsts[["architecture", "activation", "checkpoint"]])
        self._order = list(order[["activation", "checkpoint"]].itertuples(index=False, name=None))
        rows = cells[cells["checkpoint"].isin(order["checkpoint"])]
        columns = ("checkpoint", "corruption", "severity", "predicted")
        for *key, text in zip(*(rows[name] for name in columns), strict=True):
            self._texts.setdefault((key[0], key[1] if key[2] else "", float(key[2])), text)
        self._severities = [0.0, *map(float, analysis.run.info.severities)]

    def of(self, corruption: str) -> list[dict[str, Any]]:
        """Return a row for each activation: the predictions by version, the clean images first."""
        return [
            {
                "activation": activation,
                "versions": [
                    [*map(int, self._texts.get((own, corruption if severity else "", severity), "").split())]
                    for severity in self._severities
                ],
            }
            for activation, own in self._order
        ]


def _raw(corruption: str) -> str:
    """Return the name of a corruption without its table of constants."""
    return corruption.partition(" [")[0]


def _png_size(data: bytes) -> tuple[int, int]:
    """Return width and height, which stand at a fixed place in every PNG (the IHDR chunk)."""
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
