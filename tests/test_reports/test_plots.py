"""Figures as objects: `run.plot`. `test_figures` has what is drawn, the docstrings an example of each."""

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from reports import Plots
from reports.canvas import to_axes
from reports.sections import SECTIONS
from robustbench_act.errors import InputError
from robustbench_act.run import Run
from tests.build_run import SHARES, Builder


@pytest.fixture(autouse=True)
def no_figure_is_left() -> Iterator[None]:
    plt.close("all")  # other tests of this process may have drawn some
    yield
    plt.close("all")


def test_every_figure_of_the_report_can_be_had(run: Run) -> None:
    """Each section that has figures is a method, and no two figures of one are called alike."""
    plots = Plots(run)
    for make in SECTIONS:
        section = plots._section(make.__name__)
        if drawings := [*section.exports, *section.drawings]:
            assert callable(getattr(plots, section.name))
            assert len(plots._drawings(section.name, None)) == len(drawings)


def test_a_figure_looks_as_in_the_report_and_leaves_the_settings_alone(run: Run) -> None:
    """Whatever the user's settings are; also what matplotlib makes when it draws again, and for a file."""
    with mpl.rc_context(
        {"font.size": 20.0, "xtick.color": "red", "axes.grid": False, "lines.linewidth": 9.0}
    ):
        before = dict(mpl.rcParams)
        ax = run.plot.severity("fog")
        figure = plt.gcf()
        assert ax.get_figure() is figure
        figure.set_size_inches(9, 9)
        figure.canvas.draw()
        assert dict(mpl.rcParams) == before
    assert to_hex(ax.get_xticklabels()[0].get_color()) == "#59636e"
    assert {text.get_fontsize() for text in ax.get_xticklabels()} == {7.5}
    assert not ax.spines["top"].get_visible()
    assert to_hex(figure.get_facecolor()) == "#ffffff"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["LA-SiLU", "ReLU"]
    line = {str(line.get_label()): np.asarray(line.get_ydata()) for line in ax.get_lines()}["ReLU"]
    shares = [SHARES["relu", seed] for seed in (11, 22)]
    assert line == pytest.approx([50 * sum(own[place] for own in shares) for place in (0, 5, 6)])


def test_axes_of_the_users_are_drawn_into(run: Run) -> None:
    figure, (left, right) = plt.subplots(1, 2)
    assert run.plot.heat(ax=left) is left
    assert run.plot.profile("input_fluctuation", ax=right) is right
    assert right.get_title(loc="left") == "Input fluctuation per element"
    assert (plt.get_fignums(), figure.legends) == ([figure.number], [])


def test_labels_wider_than_the_figure_make_it_larger() -> None:
    names = {"relu_with_a_name_of_no_end" * 3: 1, "silu": 2}
    correct = {(name, seed): [190, 150 + seed, 40, 140, 20, 180, 90] for name in names for seed in (1, 2)}
    plot = Builder(correct).run().plot
    for draw in (plot.leaderboard, plot.heat):
        draw()
        figure = plt.gcf()
        assert figure.get_tightbbox().width <= figure.get_size_inches()[0] + 0.01


def test_what_cannot_be_drawn_is_one_line(run: Run) -> None:
    bare = Builder(probes=False).run()
    deep = run.cells.assign(architecture="deep", checkpoint="deep " + run.cells["checkpoint"])
    two = Run(run.path, run.info, pd.concat([run.cells, deep], ignore_index=True), run.layers, run.images)
    for draw, message in (
        (lambda: run.plot.severity("fgo"), "Unknown corruption 'fgo'. Did you mean 'fog'?"),
        (lambda: run.plot.profile("output_fluct"), "Unknown quantity 'output_fluct'. Did you mean"),
        (lambda: run.plot.curves("noisy"), "Unknown group 'noisy'. Did you mean 'noise'?"),
        (bare.plot.means, "means: Not measured (--no-probes)."),
        (two.plot.severity, "curves: expected an architecture, one of deep, net."),
        (lambda: two.plot.scores(architecture="nett"), "Unknown architecture 'nett'. Did you mean 'net'?"),
        (lambda: run.plot(labels={"rellu": "Ours"}), "Unknown activation of this run 'rellu'"),
    ):
        with pytest.raises(InputError) as refused:
            draw()
        assert str(refused.value).startswith(message)
        plt.close("all")
    assert two.plot.severity(architecture="deep").get_title(loc="left") == "mean over corruptions, deep"


def test_a_figure_that_fails_is_closed() -> None:
    def fail(ax: Axes) -> Axes:
        raise KeyError(ax)

    with pytest.raises(KeyError):
        to_axes(fail, size=(1, 1), title="")
    assert plt.get_fignums() == []
