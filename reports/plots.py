"""The figures of a report as matplotlib objects: `run.plot`."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reports.analysis import Analysis
from reports.canvas import to_axes, to_figure
from reports.errors import ReportError
from reports.layout import Drawing, Section
from reports.names import activation_of
from reports.sections import SECTIONS
from reports.style import drawn_together
from robustbench_act.activations.names import labelled, named_activations
from robustbench_act.english import upper_first
from robustbench_act.errors import unknown_name
from robustbench_act.metrics import group_label
from robustbench_act.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAKERS: Mapping[str, Callable[[Analysis], Section]] = {make.__name__: make for make in SECTIONS}


class Plots:
    """The figures of a run's report, each as the matplotlib axes that it is drawn into.

    A figure that is not given `ax` is one of pyplot: a notebook shows it, ``ax.figure.savefig("fog.pdf")``
    writes it. It looks as in the report, and leaves `matplotlib.rcParams` as they are. Axes that are given
    keep their own style and get no legend: `ax.legend()` adds one.

    A run of several architectures needs `architecture` for figures of a single one. An InputError names the
    choices, or says why a figure cannot be drawn.

    Parameters
    ----------
    run
        A finished run.
    labels, colours
        Labels and colours ("#d55e00") of one's own, by activation.

    Examples
    --------
    >>> run.plot
    <figures: curves, heat, leaderboard, ..., tradeoff>
    >>> ours = run.plot(labels={"la_silu": "Ours"}, colours={"la_silu": "#d55e00"})
    >>> [line.get_label() for line in ours.severity("fog").get_lines()]
    ['ReLU', 'Ours']
    """

    def __init__(
        self,
        run: Run,
        *,
        labels: Mapping[str, str] | None = None,
        colours: Mapping[str, str] | None = None,
    ) -> None:
        names = list(dict.fromkeys(map(activation_of, run.cells["activation"])))
        self._run = run
        self._labels = named_activations(labels or {}, names)
        self._analysis = Analysis(run, named_activations(colours or {}, names))
        self._sections: dict[str, Section] = {}

    def __call__(
        self, *, labels: Mapping[str, str] | None = None, colours: Mapping[str, str] | None = None
    ) -> "Plots":
        """Return the figures with labels and colours of one's own."""
        return Plots(self._run, labels=labels, colours=colours)

    def __repr__(self) -> str:
        names = [name for name in dir(type(self)) if not name.startswith("_")]
        return f"<figures: {', '.join(names)}>"

    def leaderboard(self, *, architecture: str | None = None, ax: "Axes | None" = None) -> "Axes":
        """Draw the mean over corruptions with its interval, a row for each activation, and its ranks.

        >>> [label.get_text() for label in run.plot.leaderboard().get_yticklabels()]
        ['LA-SiLU', 'ReLU']
        """
        return self._draw("leaderboard", architecture=architecture, ax=ax)

    def heat(self, *, ax: "Axes | None" = None) -> "Axes":
        """Draw accuracy under each corruption as a table of coloured cells.

        >>> [label.get_text() for label in run.plot.heat().get_yticklabels()][:3]
        ['clean', '', 'mean of noise']
        """
        return self._draw("heat", ax=ax)

    def severity(
        self, corruption: str = "mean", *, architecture: str | None = None, ax: "Axes | None" = None
    ) -> "Axes":
        """Draw accuracy by severity under a corruption; by default the mean over corruptions.

        >>> from matplotlib import pyplot as plt
        >>> figure, (left, right) = plt.subplots(1, 2)
        >>> run.plot.severity("fog", ax=left).get_title(loc="left")
        'fog'
        >>> run.plot.severity(ax=right).get_title(loc="left")
        'mean over corruptions'
        """
        return self._draw("curves", corruption, kind="corruption", architecture=architecture, ax=ax)

    def curves(self, group: str, *, architecture: str | None = None) -> "Figure":
        """Return a figure of `severity` for each corruption of a group, such as "noise".

        >>> [ax.get_title(loc="left") for ax in run.plot.curves("noise").axes]
        ['gaussian_noise', 'impulse_noise']
        """
        found = self._drawings("curves", architecture)
        own = [one for one in found.values() if one.data["group"].iloc[0] == group]
        if not own:
            raise unknown_name("group", group, (str(one.data["group"].iloc[0]) for one in found.values()))
        with self._as_in_the_report():
            title = upper_first(group_label(group))
            return to_figure([(one.heading, one.draw) for one in own], size=own[0].size, title=title)

    def scores(self, *, architecture: str | None = None, ax: "Axes | None" = None) -> "Axes":
        """Draw how often each accuracy is reached: the distribution of all results.

        >>> run.plot.scores().get_xlabel()
        'accuracy of at least ..., %'
        """
        return self._draw("scores", architecture=architecture, ax=ax)

    def tradeoff(self, *, architecture: str | None = None, ax: "Axes | None" = None) -> "Axes":
        """Draw accuracy on clean against accuracy on corrupted images.

        >>> run.plot.tradeoff().get_xlabel()
        'accuracy on clean images, % (higher is better →)'
        """
        return self._draw("tradeoff", architecture=architecture, ax=ax)

    def significance(self, *, architecture: str | None = None, ax: "Axes | None" = None) -> "Axes":
        """Draw the differences between every two activations, with those that are sure.

        >>> [label.get_text() for label in run.plot.significance().get_yticklabels()]
        ['LA-SiLU', 'ReLU']
        """
        return self._draw("significance", architecture=architecture, ax=ax)

    def profile(
        self,
        quantity: str = "output_fluctuation",
        *,
        architecture: str | None = None,
        ax: "Axes | None" = None,
    ) -> "Axes":
        """Draw fluctuation by layer: output_fluctuation, input_fluctuation, fluctuation_ratio, ...

        >>> run.plot.profile("fluctuation_ratio").get_ylabel()
        'output / input ↓'
        """
        return self._draw("profile", quantity, kind="quantity", architecture=architecture, ax=ax)

    def loss(
        self,
        quantity: str = "scale_free_amplification",
        *,
        layers: bool = False,
        architecture: str | None = None,
        ax: "Axes | None" = None,
    ) -> "Axes":
        """Draw accuracy lost by scale_free_amplification or input_disturbance; or correlations by layer.

        >>> run.plot.loss("input_disturbance").get_xlabel()
        'input disturbance, % (← lower is steadier)'
        >>> run.plot.loss("input_disturbance", layers=True).get_ylabel()
        'correlation of ranks'
        """
        key = f"{quantity}_layers" if layers else quantity
        return self._draw("loss", key, kind="quantity", architecture=architecture, ax=ax)

    def means(
        self, quantity: str = "clean_mean", *, architecture: str | None = None, ax: "Axes | None" = None
    ) -> "Axes":
        """Draw clean_mean or clean_offset of activations by layer; or, of one activation, their distribution.

        >>> run.plot.means().get_ylabel()
        'mean of μ, near 0'
        >>> run.plot.means("la_silu").get_title(loc="left")
        'LA-SiLU'
        """
        return self._draw("means", quantity, kind="quantity", architecture=architecture, ax=ax)

    def signals(
        self, quantity: str = "rho", *, architecture: str | None = None, ax: "Axes | None" = None
    ) -> "Axes":
        """Draw rho, rho_prime or gradient_variance by layer, if the run has measured it.

        >>> run.plot.signals("rho_prime").get_ylabel()
        'ρ′, near 1'
        """
        return self._draw("signals", quantity, kind="quantity", architecture=architecture, ax=ax)

    def _draw(
        self,
        section: str,
        key: str | None = None,
        *,
        kind: str = "figure",
        architecture: str | None = None,
        ax: "Axes | None" = None,
    ) -> "Axes":
        """Draw the figure of a section that has a key, or its only one."""
        found = self._drawings(section, architecture)
        if key is None:
            (one,) = found.values()
        elif key in found:
            one = found[key]
        else:
            raise unknown_name(kind, key, found)
        with self._as_in_the_report():
            return to_axes(one.draw, size=one.size, title=one.heading, ax=ax)

    def _drawings(self, name: str, architecture: str | None) -> dict[str, Drawing]:
        """Return the figures of a section for an architecture, by what they are about."""
        with self._as_in_the_report():
            section = self._section(name)
        if section.nothing:
            raise ReportError(f"{name}: {section.nothing}")
        drawings = [*section.exports, *section.drawings]
        several = {str(one.data["architecture"].iloc[0]) for one in drawings if "architecture" in one.data}
        if architecture is None and len(several) > 1:
            raise ReportError(f"{name}: expected an architecture, one of {', '.join(sorted(several))}.")
        if architecture is not None and architecture not in several:
            raise unknown_name("architecture", architecture, several)
        chosen = [
            one
            for one in drawings
            if architecture is None or (one.data["architecture"] == architecture).all()
        ]
        return {_key(one): one for one in chosen}

    def _section(self, name: str) -> Section:
        if name not in self._sections:
            self._sections[name] = _MAKERS[name](self._analysis)
        return self._sections[name]

    @contextmanager
    def _as_in_the_report(self) -> Iterator[None]:
        with labelled(self._labels), drawn_together(self._analysis.lines):
            yield


def _key(drawing: Drawing) -> str:
    """Return what a figure is about: a corruption, an activation, a quantity."""
    about = drawing.facts.get("corruption") or drawing.facts.get("activation")
    return about or re.sub(r"^[a-z-]+\d+-?", "", drawing.name).replace("-", "_")
