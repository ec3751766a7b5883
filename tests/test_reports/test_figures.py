"""The figures draw the numbers that they get, and leave nothing behind."""

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from PIL import Image
from pypdf import PdfReader

from reports import Report, tables
from reports.canvas import _legend, drawn, everything, to_file, to_svg
from reports.figures.depth import correlations, depth_lines, mean_boxes
from reports.figures.leaderboard import leaderboard_rows
from reports.figures.scatter import disturbance_and_loss, trade_off
from reports.figures.severity import CURVE_SIZE, severity_curves
from reports.style import RC_PARAMS
from robustbench_act.run import Run

from .pieces import section_of


def test_severity_curves_draw_the_table(run: Run) -> None:
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


def test_depth_lines_draw_the_table_and_a_reference(run: Run) -> None:
    data = tables.layer_profile(run.layers)
    ax = depth_lines(data, Figure().add_subplot(), value="fluctuation_ratio", reference=1.0)
    drawn = [np.asarray(line.get_ydata()).tolist() for line in ax.get_lines()]
    assert drawn[0] == [1.0, 1.0]
    assert drawn[1:] == [pytest.approx([0.375] * 2), pytest.approx([0.875] * 2)]
    assert ax.get_ylim()[0] == 0
    means = tables.activation_means(run.layers)
    assert depth_lines(means, Figure().add_subplot(), value="clean_mean").get_ylim()[0] < 0


def test_leaderboard_rows_draw_means_ends_and_checkpoints() -> None:
    """Ends outside 0 to 100 % are drawn at its edge; a single checkpoint has neither interval nor strokes."""
    data = pd.DataFrame(
        {
            "activation": ["la_silu", "relu"],
            "mca": [0.9, 0.5],
            "joint_low": [0.7, np.nan],
            "joint_high": [1.1, np.nan],
            "rank_low": [1.0, np.nan],
            "rank_high": [2.0, np.nan],
        }
    )
    scores = pd.DataFrame({"activation": ["la_silu", "la_silu", "relu"], "mca": [0.85, 0.95, 0.5]})
    ax = leaderboard_rows(data, scores, Figure().add_subplot())
    drawn = [
        (int(np.asarray(line.get_ydata())[0]), np.asarray(line.get_xdata()).round(6).tolist())
        for line in ax.get_lines()
    ]
    assert drawn == [(0, [70, 100]), (0, [85, 95]), (0, [90]), (1, [50])]
    assert [text.get_text() for text in ax.texts] == ["ranks 1–2"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["LA-SiLU", "ReLU"]
    low, high = ax.get_ylim()
    assert low > high  # the first row at the top


def test_many_layers_get_few_ticks(run: Run) -> None:
    data = tables.layer_profile(run.layers)
    deep = data[data["index"] == 0].merge(data[["activation"]].drop_duplicates().assign(key=0))
    deep = deep.loc[deep.index.repeat(50)].assign(index=lambda rows: range(len(rows)))
    ax = depth_lines(deep, Figure().add_subplot(), value="fluctuation_ratio")
    assert len(ax.get_xticks()) <= 11


def svg(run: Run, name: str = "one", title: str = "t") -> str:
    data = tables.curves(run.cells)
    draw = partial(severity_curves, data[data["corruption"] == "fog"])
    return str(to_svg(draw, size=CURVE_SIZE, name=name, title=title))


def test_svg_is_well_formed_accessible_and_has_text(run: Run) -> None:
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


def test_identifiers_resolve_and_never_clash(run: Run) -> None:
    first, second = (set(re.findall(r' id="([^"]*)"', svg(run, name=name))) for name in ("one", "two"))
    assert first
    assert not first & second
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg(run))) == first


def test_drawing_is_repeatable_and_ignores_and_keeps_global_settings(run: Run) -> None:
    before = svg(run)
    with matplotlib.rc_context(
        {"axes.xmargin": 0.4, "xtick.direction": "in", "font.size": 20, "svg.fonttype": "path"}
    ):
        settings = dict(matplotlib.rcParams)
        assert svg(run) == before
        assert dict(matplotlib.rcParams) == settings


def test_bands_are_the_intervals_cut_at_what_is_possible(run: Run) -> None:
    data = tables.curves(run.cells)
    fog = data[data["corruption"] == "fog"]
    ax = severity_curves(fog, Figure().add_subplot())
    bands = {str(band.get_gid()): band.get_paths()[0].vertices for band in ax.collections}
    assert set(bands) == {"activation:relu", "activation:la_silu"}
    own = fog[fog["activation"] == "relu"]
    drawn = np.asarray(bands["activation:relu"])[:, 1]
    assert drawn.min() == pytest.approx(100 * own["low"].clip(0, 1).min())
    assert drawn.max() == pytest.approx(100 * own["high"].clip(0, 1).max())
    assert 0 <= drawn.min() < drawn.max() <= 100


def test_of_many_lines_only_the_highlighted_have_bands(run: Run) -> None:
    data = tables.curves(run.cells)
    fog = data[(data["corruption"] == "fog") & (data["activation"] == "relu")]
    names = ["relu", "elu", "gelu", "mish", "nrelu"]
    many = pd.concat([fog.assign(activation=name) for name in names])
    ax = severity_curves(many, Figure().add_subplot())
    assert [band.get_gid() for band in ax.collections] == ["activation:nrelu"]


def test_one_seed_has_no_band(run: Run) -> None:
    data = tables.curves(run.cells[run.cells["training_seed"] == 11])
    assert not severity_curves(data[data["corruption"] == "fog"], Figure().add_subplot()).collections


def test_trade_off_draws_means_checkpoints_and_the_line(report: Report) -> None:
    (drawing,) = section_of(report.analysis, "tradeoff").drawings
    ax = trade_off(drawing.data, Figure().add_subplot())
    reference, *dots = ax.get_lines()
    slope = np.diff(np.asarray(reference.get_ydata())) / np.diff(np.asarray(reference.get_xdata()))
    assert slope == pytest.approx((drawing.data["expected"] / drawing.data["clean"]).iloc[0])
    own = drawing.data[drawing.data["activation"] == "relu"]
    drawn = [np.asarray(line.get_xydata()) for line in dots if line.get_gid() == "activation:relu"]
    assert drawn[0] == pytest.approx(100 * own[["clean", "mca"]].to_numpy())
    assert drawn[1] == pytest.approx(100 * own[["clean", "mca"]].mean().to_numpy()[None])
    assert [text.get_text() for text in ax.texts] == ["LA-SiLU", "ReLU"]  # from the top down


def test_names_beside_points_do_not_cover_each_other(report: Report) -> None:
    (drawing,) = section_of(report.analysis, "tradeoff").drawings
    alike = pd.concat([drawing.data[:1].assign(activation=f"act{place}") for place in range(6)])
    ax = trade_off(alike, Figure(figsize=drawing.size).add_subplot())
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[:place])


@pytest.mark.parametrize("size", [6, 18, 60])
def test_names_of_points_at_the_bottom_stay_in_the_axes(report: Report, size: int) -> None:
    (drawing,) = section_of(report.analysis, "tradeoff").drawings
    low = drawing.data[drawing.data["activation"] == "relu"]
    alike = pd.concat([drawing.data, *(low.assign(activation=f"act{place}") for place in range(size))])
    ax = trade_off(alike, Figure(figsize=drawing.size).add_subplot())
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) == size + 2
    whole, room = ax.get_window_extent(), boxes[0].height / 2
    assert min(box.y0 for box in boxes) >= whole.y0 - room
    assert max(box.y1 for box in boxes) <= whole.y1 + room
    pairs = [(one, other) for place, one in enumerate(boxes) for other in boxes[:place]]
    assert size > 18 or not any(one.overlaps(other) for one, other in pairs)


def test_boxes_draw_the_quantiles(run: Run) -> None:
    data = tables.mean_quantiles(run.layers)
    own = data[data["activation"] == "relu"]
    ax = mean_boxes(own, Figure().add_subplot(), ends=(0.0, 2.0))
    drawn = [[np.asarray(path.vertices)[:, 1].tolist() for path in one.get_paths()] for one in ax.collections]
    whiskers, halves = drawn
    assert whiskers == own[["activation_q05", "activation_q95"]].to_numpy().tolist()
    assert halves == own[["activation_q25", "activation_q75"]].to_numpy().tolist()
    assert ax.get_ylim() == pytest.approx((-0.1, 2.1))


def test_spread_is_drawn_to_both_sides(run: Run) -> None:
    data = tables.layer_profile(run.layers)
    ax = depth_lines(data, Figure().add_subplot(), value="output_fluctuation", spread="output_spread")
    own = data[data["activation"] == "relu"]
    (band,) = (band for band in ax.collections if band.get_gid() == "activation:relu")
    drawn = np.asarray(band.get_paths()[0].vertices)[:, 1]
    assert drawn.max() == pytest.approx((own["output_fluctuation"] + own["output_spread"]).max())
    assert drawn.min() == pytest.approx((own["output_fluctuation"] - own["output_spread"]).clip(0).min())


def test_lines_carry_their_activation_for_the_filter(run: Run) -> None:
    """Line, band and name."""
    assert svg(run).count('data-activation="relu"') == svg(run).count('data-activation="la_silu"') == 3


LONG = {"relu": "A name of an activation far too long, " + 20 * "W", "la_silu": "Ünsere — " + 30 * "m"}


@pytest.fixture(scope="module")
def wide(run: Run) -> Report:
    """Return a report of some sections, with labels that fit nowhere."""
    report = Report(run, labels=LONG)
    with report._laying_out("sections"):
        names = ("heat", "curves", "tradeoff", "significance", "loss")
        report.sections = [section_of(report.analysis, name) for name in names]
    return report


def assert_inside(figure: Figure, whole: Any) -> int:
    """All texts of a figure lie inside its file; return how many they are."""
    hidden = set[Text]()  # labels of ticks beyond the ends
    for axis in [axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)]:
        low, high = sorted(axis.get_view_interval())
        beyond = [tick for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high]
        hidden.update(label for tick in beyond for label in (tick.label1, tick.label2))
    texts: Any = figure.findobj(Text)
    texts = [text for text in texts if text.get_visible() and text.get_text() and text not in hidden]
    for text in texts:
        box = text.get_window_extent().transformed(figure.dpi_scale_trans.inverted())
        assert whole.x0 <= box.x0 <= box.x1 <= whole.x1, text
        assert whole.y0 <= box.y0 <= box.y1 <= whole.y1, text
    return len(texts)


def test_no_text_is_cut_off(wide: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all figures, alone and together."""
    texts: list[int] = []

    def checked(figure: Figure) -> Any:
        texts.append(assert_inside(figure, everything(figure)))
        return everything(figure)

    monkeypatch.setattr("reports.canvas.everything", checked)
    figures = [figure for figure in wide.figures() if figure.draw]
    chosen = [figures[0], *(figure for figure in figures if figure.name.endswith(("noise", "-0")))]
    for figure in chosen:
        with wide._laying_out(figure.name):
            assert figure.draw is not None
            assert figure.draw("svg")
    assert len(texts) == len(chosen) >= 6
    assert min(texts) > 5


def test_nothing_touches_the_edge_of_a_picture(wide: Report) -> None:
    for name in ("curves-0-noise", "heat-map", "significance-matrix-0"):
        (figure,) = wide.figures([name])
        with wide._laying_out(name):
            assert figure.draw is not None
            pixels = np.asarray(Image.open(io.BytesIO(figure.draw("png"))).convert("L"))
        edges = [pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:]]
        assert all((edge == 255).all() for edge in edges), name


def test_long_labels_stay_inside_the_figures_of_the_page(wide: Report) -> None:
    for drawing in [drawing for section in wide.sections for drawing in section.drawings]:
        with wide._laying_out(drawing.name), style.context(["default", RC_PARAMS]):
            figure = drawn(partial(alone, drawing.draw), size=drawing.size, kind="svg")
            figure.draw_without_rendering()
            assert assert_inside(figure, figure.bbox_inches) > 5


def alone(draw: Callable[[Axes], Axes], figure: Figure) -> Axes:
    return draw(figure.add_subplot())


def test_files_are_whole(run: Run) -> None:
    data = tables.curves(run.cells)
    draw = partial(severity_curves, data[data["corruption"] == "fog"])
    assert to_file(draw, size=CURVE_SIZE, kind="png").startswith(b"\x89PNG")
    ElementTree.fromstring(to_file(draw, size=CURVE_SIZE, kind="svg"))
    file = to_file(draw, size=CURVE_SIZE, kind="pdf", title="fog")
    assert {"fog", "ReLU", "LA-SiLU", "severity"} <= set(
        PdfReader(io.BytesIO(file)).pages[0].extract_text().split()
    )
    assert b"/Type3" not in file


def layers_of(values: dict[str, list[float]]) -> pd.DataFrame:
    rows = [(name, index, value) for name, own in values.items() for index, value in enumerate(own)]
    return pd.DataFrame(rows, columns=["activation", "index", "value"])


def test_one_activation_far_from_all_others_does_not_stretch_the_axis() -> None:
    values = {name: [0.5, 0.6, 0.9] for name in ("relu", "silu", "gelu", "mish")} | {
        "prelu": [0.5, 0.7, 4.25]
    }
    ax = depth_lines(layers_of(values), Figure().add_subplot(), value="value")
    assert 0.9 < ax.get_ylim()[1] < 1.0
    assert [text.get_text() for text in ax.texts] == ["↑ PReLU to 4.2"]
    values["prelu"] = [0.5, 0.7, -4.25]
    low = depth_lines(layers_of(values), Figure().add_subplot(), value="value")
    assert 0.4 < low.get_ylim()[0] < 0.5
    assert [text.get_text() for text in low.texts] == ["↓ PReLU to -4.2"]


def test_axes_have_all_where_two_are_far_or_few_are_compared() -> None:
    values = {name: [0.5, 0.6, 0.9] for name in ("relu", "silu", "gelu")} | {"prelu": [4.0] * 3}
    for more in ({}, {"mish": [0.5] * 3, "elu": [4.1] * 3}):
        ax = depth_lines(layers_of(values | more), Figure().add_subplot(), value="value")
        assert ax.get_ylim()[1] > 4
        assert not [text for text in ax.texts if "to" in text.get_text()]


def test_boxes_say_what_lies_beyond_their_axis() -> None:
    shares = {
        f"activation_q{share}": [share_of]
        for share, share_of in zip(("05", "25", "50", "75", "95"), (-7.5, -1.0, 0.0, 1.0, 2.0), strict=True)
    }
    data = pd.DataFrame({"activation": ["prelu"], "index": [0], **shares})
    ax = mean_boxes(data, Figure().add_subplot(), ends=(-1.0, 2.0))
    assert [text.get_text() for text in ax.texts] == ["↓ to -7.5"]
    assert not mean_boxes(data, Figure().add_subplot(), ends=(-8.0, 2.0)).texts


def test_correlations_and_loss_draw_their_tables() -> None:
    data = pd.DataFrame({"index": [0, 1], "between": [0.5, -0.2], "within": [0.1, -0.4]})
    ax = correlations(data, Figure().add_subplot())
    assert [np.asarray(line.get_ydata()).tolist() for line in ax.get_lines()[1:]] == [
        [0.1, -0.4],
        [0.5, -0.2],
    ]
    assert ax.get_ylim()[0] < -0.4
    lost = pd.DataFrame({"activation": ["relu", "relu"], "input_disturbance": [0.2, 0.4], "lost": [0.1, 0.3]})
    ax = disturbance_and_loss(lost, Figure().add_subplot(), name="input_disturbance")
    assert [text.get_text() for text in ax.texts] == ["ReLU"]
    assert np.asarray(ax.get_lines()[-1].get_xydata()) == pytest.approx(np.array([[30, 20]]))


@pytest.mark.parametrize("ends", [(0.9, 0.89, 0.5), (0.1, 0.1, 0.1), (0.0, 0.01, 0.0)])
def test_few_lines_are_named_at_their_ends(ends: tuple[float, ...]) -> None:
    names = ("relu", "silu", "gelu")
    rows = [
        (name, severity, share)
        for name, end in zip(names, ends, strict=True)
        for severity, share in ((0, 1), (5, end))
    ]
    data = pd.DataFrame(rows, columns=["activation", "severity", "accuracy"]).assign(low=np.nan, high=np.nan)
    ax = severity_curves(data, Figure().add_subplot())
    assert {text.get_text() for text in ax.texts} == {"ReLU", "SiLU", "GELU"}
    heights = sorted(text.xy[1] for text in ax.texts if isinstance(text, Annotation))
    assert heights[0] > 0  # outside the axes nobody would see it
    assert np.diff(heights).min() > 8
    long = data.assign(activation=data["activation"].replace("relu", "a_name_of_many_letters"))
    assert not severity_curves(long, Figure().add_subplot()).texts


def test_references_and_bands_stay_in_view() -> None:
    values = {name: [0.1, 0.2, 0.3] for name in ("la_silu", "silu", "gelu", "mish")} | {
        "prelu": [0.1, 0.2, 9.0]
    }
    data = layers_of(values).assign(spread=0.2)
    ax = depth_lines(data, Figure().add_subplot(), value="value", reference=1.0)
    assert 1.0 < ax.get_ylim()[1] < 1.5
    banded = depth_lines(data, Figure().add_subplot(), value="value", spread="spread")
    assert 0.5 <= banded.get_ylim()[1] < 1.0  # 0.3 and 0.2 of la_silu, which has a band


def test_names_of_layers_lines_are_apart_on_the_axis_that_is_shown() -> None:
    data = layers_of({"relu": [0.5, 0.91], "silu": [0.5, 0.92], "gelu": [0.5, 0.93]})
    ax = depth_lines(data, Figure().add_subplot(), value="value")
    low, high = ax.get_ylim()
    heights = sorted(text.xy[1] for text in ax.texts if isinstance(text, Annotation))
    assert len(heights) == 3
    assert np.diff(heights).min() > 0.08 * (high - low)


def test_a_long_legend_is_inside_its_picture() -> None:
    figure = Figure(figsize=CURVE_SIZE, layout="constrained")
    ax = figure.add_subplot()
    for place in range(26):
        ax.plot([0, 1], [0, place], label=f"activation {place}")
    _legend(figure, ax)
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    box, whole = figure.legends[0].get_window_extent(), figure.bbox
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= whole.width + 1
    assert box.y1 <= whole.height + 1


@pytest.mark.parametrize(
    ("backend", "kept"),
    [("module://no_such_package", "module://no_such_package"), ("bogus", "None"), ("svg", "svg")],
)
def test_the_backend_of_the_environment_is_not_needed(backend: str, kept: str) -> None:
    """A backend that matplotlib does not know costs no figure; one that it knows stays pyplot's."""
    code = """if True:
        import os
        from reports.canvas import to_file
        assert to_file(lambda ax: ax, size=(1, 1), kind="png").startswith(b"\\x89PNG")
        import matplotlib
        print(os.environ["MPLBACKEND"], matplotlib.get_backend(auto_select=False))"""
    environment = {**os.environ, "MPLBACKEND": backend}
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip() == f"{backend} {kept}"
