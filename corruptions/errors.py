"""The one error type for bad input, and the message for a name that does not exist."""

import sysconfig
import traceback
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

_NOT_THE_USERS = (Path(__file__).parent.parent, Path(sysconfig.get_path("stdlib")))
"""Our packages and installed ones; Python's own."""

_MOST = 99  # names that one line lists


class InputError(ValueError):
    """The caller's input is wrong; the message is one line: what was expected, what came, where.

    A notebook shows that line without a traceback; if code of the user's raised the error behind it, with
    the place. `%debug` opens the stack.
    """

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows instead of a traceback: it knows this name."""
        line = " ".join(str(self).split())
        return [f"{type(self).__name__}: {line}{_place(self.__cause__)}"]


def _place(cause: BaseException | None) -> str:
    """Return where the user's own code raised an error, as function and line; "" if it did not.

    >>> try: int("x")
    ... except ValueError as error: _place(error)
    ' (<module>, line 1)'
    """
    frames = [] if cause is None else traceback.extract_tb(cause.__traceback__)
    own = [frame for frame in frames if not any(map(Path(frame.filename).is_relative_to, _NOT_THE_USERS))]
    if not own:
        return ""
    file = Path(own[-1].filename)
    where = f"{own[-1].name} in {file.name}" if file.exists() else own[-1].name  # a cell is no file
    return f" ({where}, line {own[-1].lineno})"


def unknown_name(kind: str, name: str, choices: Iterable[str]) -> InputError:
    """Return the error for an unknown `name` of some `kind`: the nearest choice, or all of them if few.

    >>> str(unknown_name("corruption", "gausian_noise", ["fog", "gaussian_noise"]))
    "Unknown corruption 'gausian_noise'. Did you mean 'gaussian_noise'?"
    >>> str(unknown_name("corruption", "xyz", ["fog", "gaussian_noise"]))
    "Unknown corruption 'xyz'. Choose from: fog, gaussian_noise."
    """
    known = sorted(choices)
    nearest = get_close_matches(name, known, n=1)
    shown = known if len(known) <= _MOST else [*known[:3], f"... ({len(known):,} names)"]
    hint = f"Did you mean {nearest[0]!r}?" if nearest else f"Choose from: {', '.join(shown)}."
    return InputError(f"Unknown {kind} {name!r}. {hint}")
