"""Moments of a training run: after which of its steps something is measured."""

import re
from collections.abc import Iterable
from fractions import Fraction

from robustbench_act.errors import InputError

_SHARE = re.compile(r"(\d+(?:\.\d+)?)%")


def parse_moments(text: str, epochs: int) -> tuple[Fraction, ...]:
    """Return the moments in a comma-separated list, in epochs, sorted.

    A moment is an epoch (0: before the first), a share of the training (25%), or the last epoch; "all" are
    the epochs. An InputError for others.

    >>> [float(moment) for moment in parse_moments("last,0,25%", 3)], len(parse_moments("all", 3))
    ([0.0, 0.75, 3.0], 4)
    """
    if text == "all":
        return tuple(map(Fraction, range(epochs + 1)))
    return tuple(sorted({_moment(name.strip(), epochs) for name in text.split(",")}))


def _moment(name: str, epochs: int) -> Fraction:
    moment = Fraction(-1)
    if name == "last":
        moment = Fraction(epochs)
    elif name.isdecimal():
        moment = Fraction(name)
    elif share := _SHARE.fullmatch(name):
        moment = epochs * Fraction(share[1]) / 100
    if not 0 <= moment <= epochs:
        raise InputError(
            f"Expected epochs from 0 to {epochs}, shares as 25%, 'last' or 'all' to track, got {name!r}."
        )
    return moment


def steps_at(moments: Iterable[Fraction], steps_per_epoch: int) -> tuple[int, ...]:
    """Return the numbers of steps that are done at the moments, sorted.

    >>> steps_at(parse_moments("0,25%,last", 3), 10)
    (0, 8, 30)
    """
    return tuple(sorted({round(moment * steps_per_epoch) for moment in moments}))
