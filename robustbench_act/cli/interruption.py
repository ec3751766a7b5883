"""Interruptions of a long command: Ctrl-C, SIGTERM, a full disk."""

import errno
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from robustbench_act.cli.terminal import say

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_FULL = (errno.ENOSPC, errno.EDQUOT)


class _StoppedError(BaseException):
    """A signal arrived."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def interruptible(kept: Callable[[], str]) -> Iterator[None]:
    """End a command cleanly if a signal or a full disk stops it: one line says what was kept.

    The exit code is 128 + the signal, as in shells (130 for Ctrl-C), and 1 for a full disk. A second
    signal ends the process at once.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        for one in before:
            signal.signal(one, signal.SIG_DFL)
        raise _StoppedError(number)

    heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heard}
    try:
        yield
    except _StoppedError as stopped:
        say(f"Interrupted: {kept()}", err=True)
        sys.exit(128 + stopped.number)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        say(f"{error.filename or 'Error'}: {error.strerror}. {kept()}", err=True)
        sys.exit(1)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
