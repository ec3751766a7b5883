"""What goes with lost accuracy: how far the inputs of layers move, and what activations make of that."""

from collections.abc import Mapping
from functools import partial

import pandas as pd

from reports import tables
from reports.analysis import Analysis
from reports.figures.depth import correlations
from reports.figures.scatter import COST_SIZE, disturbance_and_loss
from reports.layout import Drawing, Panel, Section, Table
from reports.names import label
from reports.number_formats import number, percent
from robustbench_act.english import count
from robustbench_act.metrics import LAYER_METRICS, LAYER_QUANTITIES, LEAST_ACTIVATIONS, correlate_layers
from robustbench_act.statistics import are_equal, spearman, with_ties

NOT_MEASURED = (
    "This run has no scale-free amplification, which older versions did not measure; evaluate again to "
    "have it."
)
TITLES: Mapping[str, str] = {name: LAYER_METRICS[name].title for name in LAYER_QUANTITIES}


def loss(analysis: Analysis) -> Section:
    """Return the section: what each checkpoint loses by how its layers move; correlations by layer."""
    title, short = f"What goes with lost {analysis.measure}", f"Lost {analysis.measure}"
    nothing = analysis.nothing_probed
    moved = pd.DataFrame() if nothing else tables.disturbance_and_loss(analysis.cells, analysis.layers)
    if moved.empty:
        return Section("loss", title, short, nothing=nothing or NOT_MEASURED)
    found = correlate_layers(analysis.cells, analysis.layers)
    panels, numbers = [], []
    for place, (architecture, own) in enumerate(moved.groupby("architecture")):
        layers = found[found["architecture"] == architecture]
        heading = str(architecture) if len(analysis.architectures) > 1 else ""
        drawings = [_scatter(own, name, analysis, place) for name in LAYER_QUANTITIES]
        drawings += [_layers(layers, name, analysis, place) for name in LAYER_QUANTITIES]
        panels.append(Panel(heading, drawings, note=tested(layers)))
        numbers.append(_table(layers, analysis.measure, heading))
    return Section("loss", title, short, {"legend": analysis.legend}, panels=panels, tables=numbers)


def _scatter(data: pd.DataFrame, name: str, analysis: Analysis, place: int) -> Drawing:
    finding = loss_finding(data, name)
    return Drawing(
        name=f"loss-{place}-{name.replace('_', '-')}",
        heading=f"{TITLES[name]} and {analysis.measure} lost",
        finding=f"{TITLES[name]} and {analysis.measure} lost: {finding}",
        draw=partial(disturbance_and_loss, data, name=name, measure=analysis.measure),
        size=COST_SIZE,
        data=data[["architecture", "activation", "checkpoint", name, "lost"]],
        note=finding,
    )


def _layers(data: pd.DataFrame, name: str, analysis: Analysis, place: int) -> Drawing:
    own = data[data["quantity"] == name]
    return Drawing(
        name=f"loss-{place}-{name.replace('_', '-')}-layers",
        heading=f"{TITLES[name]}: correlation with {analysis.measure} lost, layer by layer",
        finding=correlation_finding(own, name, analysis.measure),
        draw=partial(correlations, own),
        size=COST_SIZE,
        data=own,
        note="filled: between activations; hollow: within them",
    )


def _table(data: pd.DataFrame, measure: str, heading: str) -> Table:
    return Table(
        caption=f"Correlation with {measure} lost, in the same cell{', ' + heading if heading else ''}",
        headings=[
            "Layer", "Depth", "Quantity", "Between activations", "p (Holm)", "Within activations", "All",
            "Cells × checkpoints",
        ],
        rows=[
            [
                str(row["layer"]),
                str(row["index"]),
                TITLES[row["quantity"]],
                number(row["between"]),
                number(row["adjusted"]),
                number(row["within"]),
                number(row["correlation"]),
                f"{row['n']:,}",
            ]
            for row in data.to_dict("records")
        ],
        stubs=3,
    )  # fmt: skip


def tested(data: pd.DataFrame) -> str:
    """Say which correlations between activations are beyond chance, or that there is no test."""
    known = int(data["activations"].max())
    if known < LEAST_ACTIVATIONS:
        return f"No test: {count(known, 'activation')}, and a test takes {LEAST_ACTIVATIONS}."
    beyond, all_of = int((data["adjusted"] < 0.05).sum()), int(data["adjusted"].notna().sum())
    return (
        f"{beyond} of {all_of} correlations between the {known} activations are beyond what reordering the "
        "activations gives (permutation test, Holm, 5%)."
    )


def loss_finding(data: pd.DataFrame, name: str) -> str:
    """Say how a quantity and loss go together over activations, of `reports.tables.disturbance_and_loss`."""
    means = data.groupby("activation")[[name, "lost"]].mean()
    if len(means) < LEAST_ACTIVATIONS or any(are_equal(means[one], size=1.0) for one in means):
        row = means.sort_values(name, kind="stable").iloc[0]
        change = "loses" if row["lost"] >= 0 else "gains"
        least, lost = percent(row[name]), percent(abs(row["lost"]))
        return f"{label(str(row.name))} has the least, {least}%, and {change} {lost} points"
    rho, _ = spearman(means[name], with_ties(means["lost"], size=1.0))  # the tests are layer by layer
    return f"over {len(means)} activations Spearman’s correlation is {number(rho)}"


def correlation_finding(data: pd.DataFrame, name: str, measure: str) -> str:
    """Say in which layers a quantity correlates least and most with the loss, between activations."""
    found = data.dropna(subset="between").sort_values("between", kind="stable")
    if found.empty:
        return f"{TITLES[name]}: no correlation, one of the two is constant"
    ends = [
        f"{number(row['between'])} ({row['layer']})"
        for row in found.iloc[[0, -1] if len(found) > 1 else [0]].to_dict("records")
    ]
    return f"{TITLES[name]}: correlation with {measure} lost, between activations: {' to '.join(ends)}"
