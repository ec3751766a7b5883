"""Colours and lines: of activations (from their sheet), of heat maps, and how matplotlib draws.

An activation keeps its line in every figure of every report.
"""

import math
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

from reports.names import split_run
from robustbench_act.activations.facts import FAMILIES, SHEET

INK = "#1b1f24"
MUTED = "#59636e"
RULE = "#d1d9e0"

# Vocabulary of matplotlib's rcParams, applied on top of its own defaults (never the user's file).
RC_PARAMS: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "actrobust",
    "font.family": "sans-serif",
    "font.size": 7.5,
    "text.color": INK,
    "axes.edgecolor": "#8c959f",
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6eaef",
    "grid.linewidth": 0.5,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 2.5,
    "ytick.major.size": 0,
    "lines.solid_capstyle": "round",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


@dataclass(frozen=True)
class Line:
    """How one activation is drawn; width and dash (on, off, ...; empty is solid) are in points."""

    colour: str
    width: float
    dash: tuple[float, ...]
    family: str

    @property
    def highlighted(self) -> bool:
        """Whether the activation belongs to a family that the figures bring to the front."""
        return self.width > 1.5


_VARIANTS: tuple[tuple[float, ...], ...] = ((5, 1, 1, 1, 1, 1), (8, 2), (3, 1, 1, 1), (5, 1), (1, 2), (1, 1))
"""Dashes of an activation's later runs, and of unusual parameters."""

_OTHER_COLOURS = ("#7a6a2f", "#4b6a8a", "#8f3b3b", "#3f7d6e", "#6b4fa0")
_OTHER_DASHES: tuple[tuple[float, ...], ...] = ((), (2, 1), (6, 2), (6, 1.5, 1, 1.5))


def activation_line(name: str) -> Line:
    """Return the line of an activation; an unknown name keeps its line from report to report.

    Unusual parameters, "la_silu(alpha=0.1)", change the dash, and so does each run after the first if
    several are compared.

    >>> activation_line("la_silu").family, activation_line("my_act").family
    ('LayerAct', 'other')
    >>> len({activation_line(f"relu ⟨{place}⟩ a").dash for place in range(1, 8)})
    7
    """
    whole, place, _ = split_run(name)
    plain, _, parameters = whole.partition("(")
    facts = SHEET.get(plain)
    if facts is not None and facts.colour:
        dash = _VARIANTS[crc32(parameters.encode()) % len(_VARIANTS)] if parameters else facts.dash
        line = Line(facts.colour, facts.width, dash, facts.family)
    else:
        number = crc32(whole.encode())  # hash() differs from process to process
        colour = _OTHER_COLOURS[number % len(_OTHER_COLOURS)]
        dash = _OTHER_DASHES[number // len(_OTHER_COLOURS) % len(_OTHER_DASHES)]
        line = Line(colour, 1.4, dash, "other" if facts is None else facts.family)
    return replace(line, dash=_VARIANTS[(place - 2) % len(_VARIANTS)]) if place > 1 else line


def drawing_order(name: str) -> tuple[int, str]:
    """Return the sort key that puts activations family by family (legends, tables).

    >>> sorted(["relu", "nrelu", "la_silu"], key=drawing_order)
    ['la_silu', 'nrelu', 'relu']
    """
    return FAMILIES.index(activation_line(name).family), name


# Lightness falls evenly from cream to dark blue, so order survives grey print and colour blindness.
_HEAT = ((255, 251, 235), (212, 236, 214), (129, 202, 196), (56, 145, 181), (24, 84, 142), (8, 38, 84))


def readable(colour: str) -> str:
    """Return a colour for text on white: the same, darkened until it is readable (WCAG AA).

    >>> readable("#0072b2"), contrast(readable("#e69f00"), "#ffffff") >= 4.5
    ('#0072b2', True)
    """
    while contrast(colour, "#ffffff") < 4.5:
        channels = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
        colour = "#" + "".join(f"{int(channel * 0.95):02x}" for channel in channels)
    return colour


HEAT_STEPS = 40


def heat_step(value: float) -> int:
    """Return the shade of a share in 0..1 (clipped): 0 to HEAT_STEPS.

    >>> heat_step(0.0), heat_step(0.5), heat_step(1.2)
    (0, 20, 40)
    """
    return round(min(max(value, 0.0), 1.0) * HEAT_STEPS)


CHANGE_STEPS = 10
_MOST_CHANGE = 0.2  # of the strongest colour
_GAINED, _LOST = (126, 184, 219), (240, 163, 102)


def change_step(change: float, *, beyond: bool) -> int:
    """Return the shade of a change of shares: -CHANGE_STEPS (lost) to CHANGE_STEPS (gained).

    Steps are those of the square root, so that a change of 1 point can be seen next to one of 20. Changes
    that chance may explain are half as strong: what catches the eye is a finding.

    >>> change_step(0.0, beyond=True), change_step(-0.05, beyond=True), change_step(0.4, beyond=False)
    (0, -5, 5)
    """
    if math.isnan(change):
        return 0
    full = CHANGE_STEPS if beyond else CHANGE_STEPS / 2
    return int(math.copysign(round(full * (min(abs(change), _MOST_CHANGE) / _MOST_CHANGE) ** 0.5), change))


def change_colours(step: int) -> tuple[str, str]:
    """Return background and text colour of a shade of `change_step`; black text can be read on all.

    >>> change_colours(0), change_colours(-10), change_colours(10)
    (('#ffffff', '#1b1f24'), ('#f0a366', '#1b1f24'), ('#7eb8db', '#1b1f24'))
    """
    share = abs(step) / CHANGE_STEPS
    full = _GAINED if step > 0 else _LOST
    return "#" + "".join(f"{round(255 + (channel - 255) * share):02x}" for channel in full), INK


def change_class(step: int) -> str:
    """Return the style sheet's name of a shade; "" for no change.

    >>> change_class(-3), change_class(0)
    ('lost3', '')
    """
    return f"{'gained' if step > 0 else 'lost'}{abs(step)}" if step else ""


def heat_colours(value: float) -> tuple[str, str]:
    """Return background and text colour for a share in 0..1 (clipped); white text on dark cells.

    >>> heat_colours(0.0), heat_colours(1.0)
    (('#fffbeb', '#000000'), ('#082654', '#ffffff'))
    """
    position = min(max(value, 0.0), 1.0) * (len(_HEAT) - 1)
    step = min(int(position), len(_HEAT) - 2)
    pairs = zip(_HEAT[step], _HEAT[step + 1], strict=True)
    rgb = tuple(round(low + (high - low) * (position - step)) for low, high in pairs)
    background = "#" + "".join(f"{channel:02x}" for channel in rgb)
    return background, max(("#000000", "#ffffff"), key=lambda text: contrast(background, text))


def shade_rules() -> str:
    """Return the style sheet's rules of the shades: .h0 to .h40, .lost1 to .lost10, .gained1 to .gained10."""
    heat = (heat_colours(step / HEAT_STEPS) for step in range(HEAT_STEPS + 1))
    rules = [f".h{step} {{ background: {back}; color: {ink}; }}" for step, (back, ink) in enumerate(heat)]
    steps = [step for step in range(-CHANGE_STEPS, CHANGE_STEPS + 1) if step]
    rules += [f".{change_class(step)} {{ background: {change_colours(step)[0]}; }}" for step in steps]
    return "\n".join(rules)


def contrast(first: str, second: str) -> float:
    """Return the WCAG 2 contrast ratio (1 to 21) of two ``#rrggbb`` colours.

    >>> contrast("#000000", "#ffffff")
    21.0
    """
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
