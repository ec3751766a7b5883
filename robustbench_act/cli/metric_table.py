"""What `actrobust table --style metrics` shows: mean and spread of each activation, the best in bold."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from robustbench_act.activations import activation_label
from robustbench_act.activations.names import find_activation
from robustbench_act.cli.table_formats import Block, decimals
from robustbench_act.english import count, joined, upper_first
from robustbench_act.errors import InputError, unknown_name
from robustbench_act.metrics import (
    AXES,
    CELL_METRICS,
    COHORT,
    METRICS,
    Metric,
    Reference,
    axis_columns,
    group_label,
    group_metric,
    headline_words,
)
from robustbench_act.records import headline_groups, succeeded
from robustbench_act.run import Run

SHOWN = (
    "clean", "mca", "retained", "worst_class", "worst_class_shrunk", "severity_area", "mce", "relative_mce",
    "effective",
    *CELL_METRICS,
)  # fmt: skip
"""Columns without a choice, those that have a number."""

_GROUP = "group_"


class MetricTable:
    """Metrics of the activations of a run, over their training seeds.

    Parameters
    ----------
    run
        A finished run.
    reference
        For mce, relative_mce and effective.
    columns
        Names of metrics, in the order of the table. An InputError if one is unknown.
    activations
        Names or labels of the activations, in the order of the table. An InputError if one is unknown, or
        has no network without an error.

    Attributes
    ----------
    frame
        The numbers of each checkpoint: see `robustbench_act.metrics.summary`.
    names
        The columns that are shown.
    """

    def __init__(
        self,
        run: Run,
        reference: Reference | None = None,
        columns: Sequence[str] | None = None,
        activations: Sequence[str] | None = None,
    ) -> None:
        self.run, self.chosen = run, columns is not None
        frame = run.summary(reference)
        known = run.cells["activation"].unique()
        order = [find_activation(name, known) for name in activations or ()]
        failed = [name for name in order if name not in set(frame["activation"])]
        if failed:
            raise InputError(f"No network of {failed[0]} was measured without an error.")
        self.frame = frame[frame["activation"].isin(order)] if order else frame
        self.names = _names(self.frame, columns)
        groups = self.frame.groupby([*COHORT, *AXES], sort=False)
        by = groups["mca"].mean().rename("by").reset_index().sort_values("by", ascending=False, kind="stable")
        if order:
            by = by.sort_values("activation", key=lambda names: names.map(order.index), kind="stable")
        rows = pd.MultiIndex.from_frame(by[[*COHORT, *AXES]])
        self.means, self.spreads = (
            found[self.names].reindex(rows)
            for found in (groups[self.names].mean(), groups[self.names].std(ddof=1))
        )
        self.seeds = groups.size().reindex(rows)

    def numbers(self) -> pd.DataFrame:
        """Return what a CSV file holds, shares rather than percent.

        A row for each activation with the mean of each chosen column, and NAME_std, its standard deviation
        over training seeds; without a choice a row for each checkpoint.
        """
        if not self.chosen:
            return self.frame
        facts = self.means.index.to_frame(index=False)
        facts["label"] = facts["activation"].map(activation_label)
        facts["seeds"] = self.seeds.to_numpy()
        spreads = self.spreads.add_suffix("_std")
        both = pd.concat([self.means, spreads], axis=1).reset_index(drop=True)
        order = [column for name in self.names for column in (name, f"{name}_std")]
        return pd.concat([facts, both[order]], axis=1)

    def blocks(self, *, note: str = "") -> list[Block]:
        """Return a table for each architecture, its caption says what was averaged; `note` ends it."""
        architectures = self.means.index.get_level_values("architecture")
        return [self._block(architecture, note) for architecture in architectures.unique()]

    def _block(self, architecture: str, note: str) -> Block:
        own = self.means.index.get_level_values("architecture") == architecture
        means, spreads, seeds = self.means[own], self.spreads[own], self.seeds[own]
        facts = means.index.to_frame()
        shown = pd.DataFrame({"activation": facts["activation"].map(activation_label), **axis_columns(facts)})
        if len(set(seeds)) > 1:
            shown["seeds"] = seeds.map(str)
        bold = set[tuple[int, str]]()
        for name in self.names:
            metric, title = self._metric(name), self._title(name)
            texts = [decimals(metric.scale * mean, _digits(metric)) for mean in means[name]]
            bold |= {(row, title) for row in _best(texts, metric)}
            parts = zip(texts, metric.scale * spreads[name], strict=True)
            shown[title] = [
                text if np.isnan(spread) else f"{text} ± {decimals(spread, _digits(metric))}"
                for text, spread in parts
            ]
        caption = f"{architecture}, {self._caption(seeds)}{note}"
        return Block(caption, shown.reset_index(drop=True), frozenset(bold))

    def _metric(self, name: str) -> Metric:
        return group_metric(name.removeprefix(_GROUP)) if name.startswith(_GROUP) else METRICS[name]

    def _title(self, name: str) -> str:
        metric = self._metric(name)
        title = headline_words(self.run.cells["group"]).images if name == "mca" else metric.title
        return f"{upper_first(title)} {metric.unit}".strip()

    def _caption(self, seeds: "pd.Series[int]") -> str:
        """Say exactly what was averaged: images, seeds, corruptions, severities."""
        data, cells = self.run.info.dataset, succeeded(self.run.cells)
        bad = cells[cells["severity"] > 0]
        kinds, words = bad.groupby("group")["corruption"].nunique(), headline_words(bad["group"])
        low, high = int(seeds.min()), int(seeds.max())
        several = f"{low} to {high} training seeds" if low < high else count(high, "training seed")
        over = f"mean ± standard deviation over {several}" if high > 1 else several
        said = [f"{count(data.images, 'image')} of {data.name}: {over}"]
        averaged = [name for name in self.names if name != "clean"]
        groups = [name.removeprefix(_GROUP) for name in averaged if name.startswith(_GROUP)]
        if averaged:
            severities = sorted(bad["severity"].unique())
            plural = "severities" if len(severities) > 1 else "severity"
            total = kinds[headline_groups(bad["group"])].sum()
            what = f"{total} {words.cells}" if len(averaged) > len(groups) else "corruptions of each group"
            sizes = ", ".join(f"{group_label(group)}: {kinds[group]}" for group in groups)
            at = f"at {plural} {joined([f'{severity:g}' for severity in severities])}"
            said.append(f"mean over {what} {at}{f' ({sizes})' if sizes else ''}")
        if not self.run.labelled:
            said.append("no labels: accuracy is agreement with the prediction on the clean image")
        return "; ".join(said)


def _names(frame: pd.DataFrame, columns: Sequence[str] | None) -> list[str]:
    """Return the columns of a table; without a choice those that have a number."""
    known = [name for name in frame if str(name) in METRICS or str(name).startswith(_GROUP)]
    numbers = [str(name) for name in known if pd.api.types.is_numeric_dtype(frame[name])]
    for name in columns or ():
        if name not in numbers:
            raise unknown_name("column", name, numbers)
    return list(dict.fromkeys(columns or [name for name in SHOWN if frame[name].notna().any()]))


def _digits(metric: Metric) -> int:
    return 1 if metric.scale == 100 else 3


def _best(texts: Sequence[str], metric: Metric) -> list[int]:
    """Return the places of the best of several numbers as they are shown; none if none is better.

    >>> _best(["71.2", "–", "70.9", "71.2"], METRICS["mca"]), _best(["0.310"], METRICS["loss"])
    ([0, 3], [])
    """
    values = [np.nan if text == "–" else float(text.replace("−", "-")) for text in texts]
    if metric.better is None or len(texts) < 2 or np.isnan(values).all():
        return []
    best = np.nanmax(values) if metric.better == "higher" else np.nanmin(values)
    return [place for place, value in enumerate(values) if value == best]
