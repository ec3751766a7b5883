"""What happens inside: fluctuation, activation means and signals, by depth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd

from reports import tables
from reports.analysis import Analysis
from reports.figures.depth import BOX_SIZE, DEPTH_SIZE, depth_lines, mean_boxes, outlier
from reports.files import slug
from reports.layout import Drawing, Panel, Section, Table
from reports.names import label
from reports.number_formats import number
from reports.style import drawing_order


@dataclass(frozen=True)
class _Drawn:
    """A column that is drawn: its title, the axis title, its spread, where a line goes across."""

    value: str
    title: str
    axis: str
    spread: str | None = None
    reference: float | None = None


_PROFILE = (
    _Drawn("output_fluctuation", "Output fluctuation per element", "per element ↓", "output_spread"),
    _Drawn("input_fluctuation", "Input fluctuation per element", "per element ↓", "input_spread"),
    _Drawn("fluctuation_ratio", "Fluctuation ratio (output / input)", "output / input ↓", reference=1.0),
    _Drawn("scale_free_amplification", "Scale-free amplification", "sd output / sd input ↓", reference=1.0),
)
_MEANS = (
    _Drawn("clean_mean", "Activation mean, clean images", "mean of μ, near 0", reference=0.0),
    _Drawn("clean_offset", "Offset from zero (μ²/σ²), clean images", "μ²/σ², near 0", reference=0.0),
)
_SIGNALS = (
    _Drawn("rho", "ρ: mean square of output / variance of input", "ρ, near 1", reference=1.0),
    _Drawn("rho_prime", "ρ′: mean square of the slope", "ρ′, near 1", reference=1.0),
    _Drawn("gradient_variance", "Variance of the gradient", "variance"),
)
NO_SIGNALS = "Not measured in this run."


def profile(analysis: Analysis) -> Section:
    """Return the section of fluctuation."""
    bare = Section("profile", "Fluctuation, layer by layer", "Layers")
    return _section(bare, analysis, tables.layer_profile, _PROFILE)


def means(analysis: Analysis) -> Section:
    """Return the section of activation means, and of their distribution over the elements of each layer."""
    bare = Section("means", "Activation means, layer by layer", "Activation means")
    section = _section(bare, analysis, tables.activation_means, _MEANS)
    return section if section.nothing else replace(section, panels=[*section.panels, *_boxes(analysis)])


def signals(analysis: Analysis) -> Section:
    """Return the section of the quantities that ANAct keeps in balance."""
    title = "Signals and gradients, layer by layer"
    found = analysis.layers
    measured = [one for one in _SIGNALS if one.value in found and found[one.value].notna().any()]
    if not measured and not analysis.nothing_probed:
        return Section("signals", title, "Signals", nothing=NO_SIGNALS)
    return _section(Section("signals", title, "Signals"), analysis, tables.signals, measured)


def _section(
    bare: Section, analysis: Analysis, make: Callable[[pd.DataFrame], pd.DataFrame], drawn: Sequence[_Drawn]
) -> Section:
    """Return a section with a panel for each architecture, and the tables of its numbers."""
    if analysis.nothing_probed:
        return replace(bare, nothing=analysis.nothing_probed)
    panels: list[Panel] = []
    numbers = []
    for place, (architecture, own) in enumerate(make(analysis.layers).groupby("architecture")):
        heading = str(architecture) if len(analysis.architectures) > 1 else ""
        measured = [one for one in drawn if one.value in own]  # older runs have fewer columns
        names = [f"{bare.name}-{place}-{slug(one.value)}" for one in measured]
        drawings = [_drawing(own, one, name=name) for one, name in zip(measured, names, strict=True)]
        unwatched = "" if panels else analysis.unwatched
        panels.append(Panel(heading, drawings, note=f"{_layer_names(own)} {unwatched}".strip()))
        where = f", {heading}" if heading else ""
        numbers.append(_table(own, f"{bare.title}{where}: mean over training seeds"))
    return replace(bare, content={"legend": analysis.legend}, panels=panels, tables=numbers)


def _layer_names(data: pd.DataFrame) -> str:
    """Return the layer names behind the numbers along the axis; "" if the list would be long."""
    layers = data.drop_duplicates("index").sort_values("index")
    named = ", ".join(
        f"{index} {layer}" for index, layer in zip(layers["index"], layers["layer"], strict=True)
    )
    return f"Layers: {named}." if len(layers) <= 20 else ""


def _drawing(data: pd.DataFrame, drawn: _Drawn, *, name: str) -> Drawing:
    finding = depth_finding(drawn.title, data, drawn.value)
    columns = ["architecture", "activation", "index", "layer", drawn.value]
    how = {key: value for key, value in vars(drawn).items() if key != "title"}
    return Drawing(
        name=name,
        heading=drawn.title,
        finding=finding,
        draw=partial(depth_lines, data, **how),
        size=DEPTH_SIZE,
        data=data[[*columns, *([drawn.spread] if drawn.spread else [])]],
        note=finding.removeprefix(f"{drawn.title}, "),
    )


def _boxes(analysis: Analysis) -> list[Panel]:
    """Return how the means of a layer's elements are distributed: one drawing for each activation."""
    found = tables.mean_quantiles(analysis.layers)
    panels = []
    for place, (architecture, own) in enumerate(found.groupby("architecture") if len(found) else []):
        low, high = "activation_q05", "activation_q95"
        far = outlier(own, low=low, high=high)
        ends = far[1:] if far else (own[low].min(), own[high].max())
        drawings = [
            Drawing(
                name=f"box-{place}-{number:02}-{slug(name)}",
                heading=label(name),
                finding=box_finding(label(name), data),
                draw=partial(mean_boxes, data, ends=ends),
                size=BOX_SIZE,
                data=data,
                facts={"activation": name},
            )
            for number, name in enumerate(sorted(own["activation"].unique(), key=drawing_order))
            for data in [own[own["activation"] == name]]
        ]
        where = f", {architecture}" if len(analysis.architectures) > 1 else ""
        panels.append(
            Panel(f"Distribution over the elements of each layer, clean images{where}", drawings, small=True)
        )
    return panels


def _table(data: pd.DataFrame, caption: str) -> Table:
    keys = ["activation", "index", "layer"]
    values = [str(name) for name in data if name not in {"architecture", *keys}]
    ordered = data.sort_values(["activation", "index"], key=lambda column: column.map(_sort_key))
    return Table(
        caption=caption,
        headings=["Activation", "Depth", "Layer", *(name.replace("_", " ").capitalize() for name in values)],
        rows=[
            [
                label(row["activation"]),
                *(str(row[key]) for key in keys[1:]),
                *(_amount(row[name], name) for name in values),
            ]
            for _, row in ordered.iterrows()
        ],
        stubs=3,
        activations=list(ordered["activation"]),
    )


def _sort_key(value: object) -> object:
    return drawing_order(value) if isinstance(value, str) else value


def _amount(value: float, name: str) -> str:
    return f"{value:,.0f}" if name == "elements" else number(value)


def box_finding(name: str, data: pd.DataFrame) -> str:
    """Say within which ends the middle halves of all layers' element means lie."""
    low, high = data["activation_q25"].min(), data["activation_q75"].max()
    return f"{name}: in every layer the middle half of the means lies within {number(low)} and {number(high)}"


def depth_finding(title: str, table: pd.DataFrame, value: str) -> str:
    """Say which activation has the lowest and the highest mean of `value` over the layers."""
    means = table.groupby("activation")[value].mean().sort_values(kind="stable").dropna()
    if means.empty:
        return f"{title}: no finite value"
    lowest = f"{title}, mean over layers: {label(means.index[0])} {number(means.iloc[0])}"
    if len(means) == 1:
        return lowest
    return f"{lowest} (lowest), {label(means.index[-1])} {number(means.iloc[-1])} (highest)"
