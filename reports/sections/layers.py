"""What happens inside: fluctuation, activation means and signals, by depth."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import pandas as pd

from reports import tables, words
from reports.digest import Digest
from reports.figures import BOX_SIZE, DEPTH_SIZE, depth_lines, mean_boxes
from reports.layout import Drawing, Panel, Section, Table
from reports.style import drawing_order, label

_Drawn = Sequence[tuple[str, str, str | None, float | None]]  # column, title, its spread, a line across
_PROFILE: _Drawn = (
    ("output_fluctuation", "Output fluctuation per element", "output_spread", None),
    ("input_fluctuation", "Input fluctuation per element", "input_spread", None),
    ("amplification", "Amplification (output / input)", None, 1.0),
)
_MEANS: _Drawn = (
    ("clean_mean", "Activation mean, clean images", None, 0.0),
    ("clean_abs_mean", "Mean of |μ| over elements, clean images", None, None),
)
_SIGNALS: _Drawn = (
    ("rho", "ρ: output against input variance", None, 1.0),
    ("rho_prime", "ρ′: gradient against output variance", None, 1.0),
    ("gradient_variance", "Variance of the gradient", None, None),
)
NO_SIGNALS = "Not measured in this run."


def profile(digest: Digest) -> Section:
    """Return the section of fluctuation."""
    bare = Section("profile", "Fluctuation, layer by layer", "Layers")
    return _section(bare, digest, tables.layer_profile, _PROFILE)


def means(digest: Digest) -> Section:
    """Return the section of activation means, and of their distribution over the elements of each layer."""
    bare = Section("means", "Activation means, layer by layer", "Activation means")
    section = _section(bare, digest, tables.activation_means, _MEANS)
    return section if section.nothing else replace(section, panels=[*section.panels, *_boxes(digest)])


def signals(digest: Digest) -> Section:
    """Return the section of what ANAct keeps in balance."""
    title = "Signals and gradients, layer by layer"
    found = digest.layers
    measured = [one for one in _SIGNALS if one[0] in found and found[one[0]].notna().any()]
    if not measured and not digest.nothing_probed:
        return Section("signals", title, "Signals", nothing=NO_SIGNALS)
    return _section(Section("signals", title, "Signals"), digest, tables.signals, measured)


def _section(
    bare: Section, digest: Digest, make: Callable[[pd.DataFrame], pd.DataFrame], drawn: _Drawn
) -> Section:
    """Return a section with a panel for each architecture, and the tables of its numbers."""
    if digest.nothing_probed:
        return replace(bare, nothing=digest.nothing_probed)
    panels, numbers = [], []
    for place, (architecture, own) in enumerate(make(digest.layers).groupby("architecture")):
        heading = str(architecture) if len(digest.architectures) > 1 else ""
        drawings = [
            _drawing(own, one, name=f"{bare.name}-{place}-{number}") for number, one in enumerate(drawn)
        ]
        panels.append(Panel(heading, drawings))
        where = f", {heading}" if heading else ""
        numbers.append(_table(own, f"{bare.title}{where}: mean over training seeds"))
    return replace(bare, content={"legend": digest.legend}, panels=panels, tables=numbers)


def _drawing(data: pd.DataFrame, drawn: tuple[str, str, str | None, float | None], *, name: str) -> Drawing:
    value, title, spread, reference = drawn
    finding = words.depth_finding(title, data, value)
    columns = ["architecture", "activation", "index", "layer", value, *([spread] if spread else [])]
    return Drawing(
        name=name,
        heading=title,
        finding=finding,
        draw=partial(depth_lines, data, value=value, spread=spread, reference=reference),
        size=DEPTH_SIZE,
        data=data[columns],
        note=finding.removeprefix(f"{title}, "),
    )


def _boxes(digest: Digest) -> list[Panel]:
    """Return how the means of a layer's elements are distributed: one drawing for each activation."""
    found = tables.mean_quantiles(digest.layers)
    panels = []
    for place, (architecture, own) in enumerate(found.groupby("architecture") if len(found) else []):
        ends = own["activation_q05"].min(), own["activation_q95"].max()
        drawings = [
            Drawing(
                name=f"box-{place}-{number}",
                heading=label(name),
                finding=words.box_finding(label(name), data),
                draw=partial(mean_boxes, data, ends=ends),
                size=BOX_SIZE,
                data=data,
                facts={"activation": name},
            )
            for number, name in enumerate(sorted(own["activation"].unique(), key=drawing_order))
            for data in [own[own["activation"] == name]]
        ]
        where = f", {architecture}" if len(digest.architectures) > 1 else ""
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
    return f"{value:,.0f}" if name == "elements" else words.number(value)
