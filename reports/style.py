"""Colours and lines: of activations (from their sheet), of heat maps, and how matplotlib draws.

An activation keeps its line in every figure of every report, unless two of one report would share it.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, TypeAlias
from zlib import crc32

from reports.names import activation_of, plain_name, split_run
from robustbench_act.activations.facts import ACTIVATIONS, FAMILIES, known_facts
from robustbench_act.option_kinds import is_colour

INK = "#1b1f24"
MUTED = "#59636e"
RULE = "#d1d9e0"

# Vocabulary of matplotlib's rcParams, applied on top of its own defaults (never the user's file).
RC_PARAMS: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "actrobust",
    "pdf.fonttype": 42,  # TrueType: journals refuse Type 3
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


Dash: TypeAlias = tuple[float, ...]


@dataclass(frozen=True)
class Line:
    """How one activation is drawn; width and dash (on, off, ...; empty is solid) are in points."""

    colour: str
    width: float
    dash: Dash
    family: str

    @property
    def highlighted(self) -> bool:
        """Whether the activation belongs to a family that the figures bring to the front."""
        return self.width > 1.5


_VARIANTS: tuple[Dash, ...] = ((5, 1, 1, 1, 1, 1), (8, 2), (3, 1, 1, 1), (5, 1), (1, 2), (1, 1))
"""Dashes of an activation's later runs, and of unusual parameters."""

_OTHER_COLOURS = ("#7a6a2f", "#4b6a8a", "#8f3b3b", "#3f7d6e", "#6b4fa0")
_OTHER_DASHES: tuple[Dash, ...] = ((), (2, 1), (6, 2), (6, 1.5, 1, 1.5))
_OTHER_WIDTH = 1.4
_OURS = {facts.name for facts in ACTIVATIONS}

_TOGETHER: ContextVar[Mapping[str, Line] | None] = ContextVar("lines that are drawn together", default=None)


def activation_line(name: str) -> Line:
    """Return the line of an activation: its own, or inside `drawn_together` the one that it has there.

    >>> activation_line("la_silu").family, activation_line("my_act").family
    ('LayerAct', 'other')
    """
    return (_TOGETHER.get() or {}).get(name) or _own_line(name, {})


@contextmanager
def drawn_together(lines: Mapping[str, Line]) -> Iterator[None]:
    """Let `activation_line` return these lines, such as those of `distinct_lines`."""
    token = _TOGETHER.set(lines)
    try:
        yield
    finally:
        _TOGETHER.reset(token)


def distinct_lines(names: Iterable[str], colours: Mapping[str, str] | None = None) -> dict[str, Line]:
    """Return the lines of all activations of a report: no two have the same colour and dash.

    Each has its own line, which depends on its name alone, unless one before it has that already; then it
    gets a free dash, or, if nobody chose its colour, a free colour and dash. First come ours, then others by
    name, then those with unusual parameters, then later runs, which keep the colour of the first.

    Parameters
    ----------
    names
        As in tables; of several runs with their run.
    colours
        Colours of one's own, "#d55e00", by name, with or without parameters.

    Examples
    --------
    >>> lines = distinct_lines(["mine", "la_silu"], {"mine": "#d55e00"})
    >>> [(line.colour, line.dash) for line in lines.values()]
    [('#d55e00', ()), ('#d55e00', (5, 1, 1, 1, 1, 1))]
    """
    found: dict[str, Line] = {}
    taken = set[tuple[str, Dash]]()
    for name in sorted(set(names), key=_precedence):
        whole, place, _ = split_run(name)
        own, chosen = _own_line(name, colours or {}), _chosen_colour(name, colours or {})
        earlier = next((line for other, line in found.items() if split_run(other)[0] == whole), None)
        if place > 1 and earlier is not None:
            own, chosen = replace(own, colour=earlier.colour), earlier.colour
        found[name] = next(line for line in _variants(own, chosen) if _look(line) not in taken)
        taken.add(_look(found[name]))
    return found


def drawing_order(name: str) -> tuple[int, str, str]:
    """Return the sort key that puts activations family by family (legends, tables).

    >>> sorted(["relu", "nrelu", "la_silu"], key=drawing_order)
    ['la_silu', 'nrelu', 'relu']
    """
    family = activation_line(name).family
    known = family in FAMILIES
    return FAMILIES.index(family) if known else len(FAMILIES), "" if known else family, name


def _look(line: Line) -> tuple[str, Dash]:
    return line.colour.lower(), line.dash


def _precedence(name: str) -> tuple[int, bool, bool, str]:
    _, place, _ = split_run(name)
    plain, rest = _parts(name)
    return place, bool(rest), plain not in _OURS, name


def _parts(name: str) -> tuple[str, str]:
    """Return an activation, and what tells a cohort from others of it: parameters, normalisation.

    >>> _parts("la_silu(alpha=0.1) ‹layer norm› ⟨2⟩ new")
    ('la_silu', '(alpha=0.1) ‹layer norm›')
    """
    plain = plain_name(name)
    return plain, split_run(name)[0].removeprefix(plain)


def _chosen_colour(name: str, colours: Mapping[str, str]) -> str:
    """Return the colour that somebody chose for an activation; "" if nobody did, or it is not a colour."""
    whole, plain = activation_of(name), plain_name(name)
    facts = known_facts(plain)
    chosen = colours.get(whole) or colours.get(plain) or (facts.colour if facts is not None else "")
    return chosen if is_colour(chosen) else ""


def _own_line(name: str, colours: Mapping[str, str]) -> Line:
    """Return the line that an activation has if no other one has it."""
    whole, place, _ = split_run(name)
    plain, rest = _parts(name)
    facts, colour = known_facts(plain), _chosen_colour(name, colours)
    family = "other" if facts is None else facts.family
    if colour:
        dash = facts.dash if facts is not None else ()
        dash = _VARIANTS[crc32(rest.encode()) % len(_VARIANTS)] if rest else dash
        width = facts.width if facts is not None and facts.colour else _OTHER_WIDTH
    else:
        number = crc32(whole.encode())  # hash() differs from process to process
        colour = _OTHER_COLOURS[number % len(_OTHER_COLOURS)]
        dash = _OTHER_DASHES[number // len(_OTHER_COLOURS) % len(_OTHER_DASHES)]
        width = _OTHER_WIDTH
    return Line(colour, width, _VARIANTS[(place - 2) % len(_VARIANTS)] if place > 1 else dash, family)


def _variants(line: Line, chosen: str) -> Iterator[Line]:
    """Yield a line, then lines that may stand for it, without end: other colours only if none is chosen."""
    yield line
    colours = (chosen,) if chosen else _OTHER_COLOURS
    dashes = (*_VARIANTS, *_OTHER_DASHES) if chosen else (*_OTHER_DASHES, *_VARIANTS)
    yield from (replace(line, colour=colour, dash=dash) for dash in dashes for colour in colours)
    for number in count(2):  # Morse code: no end of patterns, the simple ones first
        marks = [4 if bit == "1" else 1 for bit in f"{number:b}"[1:]]
        dash = (*[part for mark in marks for part in (mark, 1.5)][:-1], 3.0)
        yield from (replace(line, colour=colour, dash=dash) for colour in colours)


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
