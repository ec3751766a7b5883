"""Lines and tables on a terminal or in a pipe, whatever its encoding: names are shown as they are."""

import codecs
import io
import sys
from typing import Any

from robustbench_act.texts import encodable, printable

_HANDLER = "actrobust.readable"
_PLAIN = {"±": "+-", "µ": "u", "–": "-", "−": "-", "…": "..."}
_PLAIN |= dict.fromkeys("█▉▊▋▌", "#") | dict.fromkeys("▍▎▏", ".")
"""What our own texts have beyond ASCII, in ASCII."""


def _readable(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that an encoding lacks: ours by ASCII, those of names by their code."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    texts = (
        _PLAIN.get(letter) or encodable(letter).encode("ascii", "backslashreplace").decode()
        for letter in error.object[error.start : error.end]
    )
    return "".join(texts), error.end


codecs.register_error(_HANDLER, _readable)


def prepare_streams() -> None:
    """Have stdout and stderr replace what their encoding lacks, rather than fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def say(text: object, *, err: bool = False) -> None:
    """Print one line on stdout or stderr; control characters in it are escaped.

    >>> say("net[lr=0.1] :smile:")
    net[lr=0.1] :smile:
    """
    print(printable(str(text)), file=sys.stderr if err else sys.stdout, flush=True)


def shown(text: str) -> str:
    """Return a text as stdout will show it, so that its width is known."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return printable(text).encode(encoding, _HANDLER).decode(encoding)


def console(**settings: Any) -> Any:
    """Return a `rich.console.Console` that takes texts as they are: no markup, no emoji, no colours."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False, **settings)
