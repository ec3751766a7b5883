"""Prints what a shift does in the layers of a network."""

import math

import pandas as pd

from robustbench_act.cli.table_formats import grid, width
from robustbench_act.cli.terminal import console, say
from robustbench_act.metrics import percent

_BLOCKS = " ▏▎▍▌▋▊▉█"
_BAR_WIDTH = 8  # characters


def print_layers(table: pd.DataFrame, title: str) -> None:
    """Print on stdout what a shift does in a network, one line for each activation layer.

    `table` is `Probe.to_frame` with two versions, the second one shifted.
    """
    clean = table[table["version"] == 0].set_index("index")
    shifted = table[table["version"] == 1].set_index("index")
    moved = shifted["output_relative_mean"]
    top = moved[moved < float("inf")].max()
    texts = {
        "layer": shifted["layer"],
        "D": shifted["elements"].map("{:,}".format),
        "in": shifted["input_relative_mean"].map(percent),
        "out": moved.map(percent),
        " ": moved.map(lambda value: _bar(min(value / top, 1.0) if top else 0.0)),
        "± sd": shifted["output_relative_var"].pow(0.5).map(percent),
        "out/in": shifted["amplification_mean"].map(_short),
        "sd out/in": shifted["scale_free_amplification_mean"].map(_short),
        "µ²/σ²": clean["activation_offset"].map(_short),
        "saturated": clean["saturated"].map(percent),
        "dead": clean["dead"].map(percent),
        "rho": clean["rho"].map(_short),
        "rho'": clean["rho_prime"].map(_short),
    }
    if "gradient_variance" in table:
        texts["var grad"] = clean["gradient_variance"].map("{:.1e}".format)
    shown = grid(texts, left=("layer", " "), no_wrap=True)
    needed, screen = width(shown), console()
    say(title)
    (screen if screen.is_terminal and needed <= screen.width else console(width=needed)).print(shown)
    say("in, out: fluctuation of a layer's input and output in % of the clean value: mean over images, ± sd")
    say("sd out/in: out/in if both are measured in standard deviations of the clean values (scale-free)")
    say("µ²/σ²: how far the elements' means are from 0; around 0 if they are zero-like")
    for layer, count in shifted.set_index("layer")["nonfinite"].items():
        if count:
            say(f"{layer}: NaN or infinite values in {count} images; ignore its numbers")


def _bar(share: float) -> str:
    """Return a bar of a share in [0, 1], to an eighth of a character; empty for NaN.

    >>> _bar(0.53), _bar(float("nan"))
    ('████▎   ', '')
    """
    if math.isnan(share):
        return ""
    whole, part = divmod(round(share * _BAR_WIDTH * 8), 8)
    return ("█" * whole + _BLOCKS[part]).ljust(_BAR_WIDTH)[:_BAR_WIDTH]


def _short(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3g}"
