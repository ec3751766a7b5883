"""The one error type for bad input, and the message for a name that does not exist."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """The caller's input is wrong; the message is one line: what was expected, what came, where."""


def unknown_name(kind: str, name: str, choices: Iterable[str]) -> InputError:
    """Return the error for an unknown `name` of some `kind`: the nearest choice, or all of them.

    >>> str(unknown_name("corruption", "gausian_noise", ["fog", "gaussian_noise"]))
    "Unknown corruption 'gausian_noise'. Did you mean 'gaussian_noise'?"
    >>> str(unknown_name("corruption", "xyz", ["fog", "gaussian_noise"]))
    "Unknown corruption 'xyz'. Choose from: fog, gaussian_noise."
    """
    known = sorted(choices)
    nearest = get_close_matches(name, known, n=1)
    hint = f"Did you mean {nearest[0]!r}?" if nearest else f"Choose from: {', '.join(known)}."
    return InputError(f"Unknown {kind} {name!r}. {hint}")
