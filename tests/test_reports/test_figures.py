"""The figures draw the numbers that they get, and leave nothing behind."""

import re
from functools import partial
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from reports import RunData, tables
from reports.figures import CURVE_SIZE, depth_lines, severity_curves, to_svg


def test_severity_curves_draw_the_table(run: RunData) -> None:
    data = tables.curves(run.cells)
    fog = data[data["corruption"] == "fog"]
    ax = Figure().add_subplot()
    assert severity_curves(fog, ax) is ax
    drawn = [np.asarray(line.get_ydata()).tolist() for line in ax.get_lines()]
    assert drawn == [
        pytest.approx((100 * fog[fog["activation"] == name]["accuracy"]).tolist())
        for name in ("relu", "la_silu")
    ]  # the highlighted family last, on top
    assert [label.get_text() for label in ax.get_xticklabels()] == ["clean", "1", "5"]
    assert ax.get_ylim() == (0, 101.5)


def test_depth_lines_draw_the_table_and_a_reference(run: RunData) -> None:
    data = tables.layer_profile(run.layers)
    ax = depth_lines(data, Figure().add_subplot(), value="amplification", reference=1.0)
    drawn = [np.asarray(line.get_ydata()).tolist() for line in ax.get_lines()]
    assert drawn[0] == [1.0, 1.0]
    assert drawn[1:] == [pytest.approx([0.375] * 2), pytest.approx([0.875] * 2)]
    assert ax.get_ylim()[0] == 0
    means = tables.activation_means(run.layers)
    assert depth_lines(means, Figure().add_subplot(), value="clean_mean").get_ylim()[0] < 0


def test_many_layers_get_few_ticks(run: RunData) -> None:
    data = tables.layer_profile(run.layers)
    deep = data[data["index"] == 0].merge(data[["activation"]].drop_duplicates().assign(key=0))
    deep = deep.loc[deep.index.repeat(50)].assign(index=lambda rows: range(len(rows)))
    ax = depth_lines(deep, Figure().add_subplot(), value="amplification")
    assert len(ax.get_xticks()) <= 11


def svg(run: RunData, name: str = "one", title: str = "t") -> str:
    data = tables.curves(run.cells)
    draw = partial(severity_curves, data[data["corruption"] == "fog"])
    return str(to_svg(draw, size=CURVE_SIZE, name=name, title=title))


def test_svg_is_well_formed_accessible_and_has_text(run: RunData) -> None:
    markup = svg(run, title='<b> & "fog"')
    root = ElementTree.fromstring(markup.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == '<b> & "fog"'
    assert root[0].tag.endswith("title")
    assert root[0].text == '<b> & "fog"'
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"clean", "1", "5", "severity", "100%"} <= set(texts)
    assert "<metadata" not in markup
    assert "<style" not in markup


def test_identifiers_resolve_and_never_clash(run: RunData) -> None:
    first, second = (set(re.findall(r' id="([^"]*)"', svg(run, name=name))) for name in ("one", "two"))
    assert first
    assert not first & second
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg(run))) == first


def test_drawing_is_repeatable_and_ignores_and_keeps_global_settings(run: RunData) -> None:
    before = svg(run)
    with matplotlib.rc_context(
        {"axes.xmargin": 0.4, "xtick.direction": "in", "font.size": 20, "svg.fonttype": "path"}
    ):
        settings = dict(matplotlib.rcParams)
        assert svg(run) == before
        assert dict(matplotlib.rcParams) == settings
