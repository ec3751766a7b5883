"""Accuracy by severity: small multiples, group by group."""

from collections.abc import Iterator, Sequence
from functools import partial

import pandas as pd

from reports import tables
from reports.analysis import Analysis
from reports.figures.severity import CURVE_SIZE, severity_curves
from reports.files import slug
from reports.layout import Drawing, Panel, Section, Table
from reports.names import label
from reports.number_formats import percent
from reports.style import drawing_order
from robustbench_act.english import upper_first
from robustbench_act.records import group_label


def curves(analysis: Analysis) -> Section:
    """Return the section: a panel for each architecture and group of corruptions."""
    title = f"{analysis.measure.capitalize()} by severity"
    if analysis.nothing:
        return Section("curves", title, "Severity", nothing=analysis.nothing)
    long = tables.curves(analysis.run.cells)
    order = tables.corruption_order(analysis.cells)
    panels, numbers = [], []
    for place, (architecture, own) in enumerate(long.groupby("architecture")):
        where = f"{architecture}: " if len(analysis.architectures) > 1 else ""
        for group in analysis.grid.groups:
            drawings = [
                _drawing(own, corruption, analysis, name=f"curve-{place}-{count:02}-{slug(corruption)}")
                for count, (found, corruption) in enumerate(order)
                if found == group
            ]
            named = group_label(group)
            panels.append(Panel(f"{where}{named}" if where else upper_first(named), drawings))
        tail = f", {architecture}" if where else ""
        numbers.append(_table(own, order, analysis, tail))
    legend = {"legend": analysis.legend}
    means = list(_means(analysis))
    return Section("curves", title, "Severity", legend, panels=panels, tables=numbers, exports=means)


def _means(analysis: Analysis) -> Iterator[Drawing]:
    """Yield the curves of the mean over corruptions, for each architecture."""
    found = tables.mean_curves(analysis.run.cells)
    for place, (architecture, own) in enumerate(found.groupby("architecture")):
        where = f", {architecture}" if len(analysis.architectures) > 1 else ""
        yield Drawing(
            name=f"curve-{place}-mean",
            heading=f"mean over {analysis.words.cells}{where}",
            finding=curve_finding("mean", own),
            draw=partial(severity_curves, own, measure=analysis.measure),
            size=CURVE_SIZE,
            data=own,
        )


def _drawing(long: pd.DataFrame, corruption: str, analysis: Analysis, *, name: str) -> Drawing:
    data = long[long["corruption"] == corruption]
    return Drawing(
        name=name,
        heading=corruption,
        finding=curve_finding(corruption, data),
        draw=partial(severity_curves, data, measure=analysis.measure),
        size=CURVE_SIZE,
        data=data,
        facts={"corruption": corruption, "suite": analysis.grid.suites[corruption]},
    )


def _table(data: pd.DataFrame, order: Sequence[tuple[str, str]], analysis: Analysis, where: str) -> Table:
    wide = data.pivot_table(index=["corruption", "activation"], columns="severity", values="accuracy")
    severities = wide.columns.astype(float)
    names = sorted(data["activation"].unique(), key=drawing_order)
    rows = [(corruption, name) for _, corruption in order for name in names]
    suites = analysis.grid.suites
    heads = ["Clean" if severity == 0 else f"Severity {severity:g}" for severity in severities]
    return Table(
        caption=f"{upper_first(analysis.measure)} in %, mean over training seeds{where}",
        headings=["Corruption", "Activation", *heads],
        rows=[
            [corruption, label(name), *(percent(value) for value in wide.loc[(corruption, name)])]
            for corruption, name in rows
        ],
        stubs=2,
        activations=[name for _, name in rows],
        suites=[suites[corruption] for corruption, _ in rows],
    )


def curve_finding(corruption: str, curve: pd.DataFrame) -> str:
    """Say who is highest and lowest at the highest severity of one corruption's curves."""
    top = curve["severity"].max()
    at_top = curve[curve["severity"] == top].sort_values(["accuracy", "activation"], ascending=[False, True])
    best, worst = at_top.iloc[0], at_top.iloc[-1]
    text = f"{corruption} at severity {top:g}: {label(best['activation'])} {percent(best['accuracy'])}%"
    if len(at_top) == 1:
        return text
    return f"{text} (highest), {label(worst['activation'])} {percent(worst['accuracy'])}% (lowest)"
