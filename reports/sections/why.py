"""Why accuracy is lost: whether networks lose more where their layers move more."""

from functools import partial

import pandas as pd

from reports import tables, words
from reports.analysis import Analysis
from reports.figures import COST_SIZE, correlations, fluctuation_cost
from reports.layout import Drawing, Panel, Section, Table
from robustbench_act.statistics import correlate_layers

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
    return Drawing(
        name=f"why-{place}-cost",
        heading=f"Fluctuation and {analysis.measure} lost",
        finding=words.cost_finding(data),
        draw=partial(fluctuation_cost, data, measure=analysis.measure),
        size=COST_SIZE,
        data=data,
        note=words.cost_finding(data),
    )


def _layers(data: pd.DataFrame, analysis: Analysis, place: int) -> Drawing:
    return Drawing(
        name=f"why-{place}-layers",
        heading=f"Correlation of a layer’s fluctuation with {analysis.measure} lost",
        finding=words.correlation_finding(data, analysis.measure),
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
                words.number(row["correlation"]),
                f"{words.number(row['low'])} to {words.number(row['high'])}",
                f"{row['n']:,}",
            ]
            for row in data.to_dict("records")
        ],
        stubs=3,
    )
