"""Why accuracy is lost: whether networks lose more when their layers move more."""

from functools import partial

import pandas as pd

from reports import tables
from reports.analysis import Analysis
from reports.figures.depth import correlations
from reports.figures.scatter import COST_SIZE, fluctuation_cost
from reports.layout import Drawing, Panel, Section, Table
from reports.names import label
from reports.number_formats import number, p_text, percent
from robustbench_act.metrics import correlate_layers
from robustbench_act.statistics import are_equal, spearman, with_ties

NO_RELATIVE = "This run does not have the relative fluctuation of its layers."


def why(analysis: Analysis) -> Section:
    """Return the section: what each checkpoint loses by how much it moves; correlations by layer."""
    title = f"Does fluctuation cost {analysis.measure}?"
    nothing = analysis.nothing_probed
    cost = pd.DataFrame() if nothing else tables.fluctuation_cost(analysis.cells, analysis.layers)
    if cost.empty:
        return Section("why", title, "Why", nothing=nothing or NO_RELATIVE)
    found = pd.concat(
        correlate_layers(analysis.cells, analysis.layers, within_cells=within).assign(within_cells=within)
        for within in (False, True)
    ).sort_values(["within_cells", "index"], kind="stable")
    panels, numbers = [], []
    for place, (architecture, own) in enumerate(cost.groupby("architecture")):
        layers = found[found["architecture"] == architecture]
        heading = str(architecture) if len(analysis.architectures) > 1 else ""
        panels.append(Panel(heading, [_cost(own, analysis, place), _layers(layers, analysis, place)]))
        numbers.append(_table(layers, analysis.measure, heading))
    return Section("why", title, "Why", {"legend": analysis.legend}, panels=panels, tables=numbers)


def _cost(data: pd.DataFrame, analysis: Analysis, place: int) -> Drawing:
    finding = cost_finding(data)
    return Drawing(
        name=f"why-{place}-cost",
        heading=f"Fluctuation and {analysis.measure} lost",
        finding=finding,
        draw=partial(fluctuation_cost, data, measure=analysis.measure),
        size=COST_SIZE,
        data=data,
        note=finding,
    )


def _layers(data: pd.DataFrame, analysis: Analysis, place: int) -> Drawing:
    return Drawing(
        name=f"why-{place}-layers",
        heading=f"Correlation of a layer’s fluctuation with {analysis.measure} lost",
        finding=correlation_finding(data, analysis.measure),
        draw=partial(correlations, data),
        size=COST_SIZE,
        data=data,
        note="filled: networks in the same cell (95% over activations); hollow: over all cells",
    )


def _table(data: pd.DataFrame, measure: str, heading: str) -> Table:
    return Table(
        caption=f"Correlation of fluctuation with {measure} lost{', ' + heading if heading else ''}",
        headings=["Layer", "Depth", "Compared", "Correlation", "95% interval", "Cells × checkpoints"],
        rows=[
            [
                str(row["layer"]),
                str(row["index"]),
                "within cells" if row["within_cells"] else "over all cells",
                number(row["correlation"]),
                f"{number(row['low'])} to {number(row['high'])}",
                f"{row['n']:,}",
            ]
            for row in data.to_dict("records")
        ],
        stubs=3,
    )


def cost_finding(data: pd.DataFrame) -> str:
    """Say how fluctuation and loss correlate over activations, of `reports.tables.fluctuation_cost`."""
    means = data.groupby("activation")[["fluctuation", "lost"]].mean()
    if len(means) < 3 or any(are_equal(means[name], size=1.0) for name in means):
        row = means.sort_values("fluctuation", kind="stable").iloc[0]
        change = "loses" if row["lost"] >= 0 else "gains"
        moved, lost = percent(row["fluctuation"]), percent(abs(row["lost"]))
        return f"{label(str(row.name))} moves least: by {moved}%, and {change} {lost} points"
    rho, p = spearman(means["fluctuation"], with_ties(means["lost"], size=1.0))
    correlation = f"{number(rho)} ({p_text(p)})"
    return f"over {len(means)} activations Spearman’s correlation is {correlation}"


def correlation_finding(data: pd.DataFrame, measure: str) -> str:
    """Say in which layers fluctuation correlates least and most with the loss, at equal noise."""
    found = data[data["within_cells"]].dropna(subset="correlation").sort_values("correlation", kind="stable")
    if found.empty:
        return "No Spearman correlation: one of the two is constant"
    ends = [
        f"{number(row['correlation'])} ({row['layer']})"
        for row in found.iloc[[0, -1] if len(found) > 1 else [0]].to_dict("records")
    ]
    return f"Correlation of fluctuation with {measure} lost, within cells: {' to '.join(ends)}"
