"""Functions of the user's own, named as package.module:function."""

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from robustbench_act.errors import InputError

_NAME = re.compile(r"(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<function>[^\W\d]\w*)")


def is_factory(text: str) -> bool:
    """Tell whether a text names a function, as package.module:function.

    >>> is_factory("mine.data:photos"), is_factory("cifar-10:data"), is_factory("mnist-1k")
    (True, False, False)
    """
    return _NAME.fullmatch(text) is not None


def find_factory(text: str, *, what: str) -> Callable[..., Any]:
    """Return the function that package.module:function names; the working folder is searched too.

    Raises
    ------
    InputError
        Where there is none; `what` says what was asked for.
    """
    match = _NAME.fullmatch(text)
    if match is None:
        raise InputError(f"{what} {text!r}: expected package.module:function.")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # so that a file beside the user is found, as with `python -m`
    try:
        found = getattr(importlib.import_module(match["module"]), match["function"])
    except (ImportError, AttributeError) as error:
        raise InputError(f"{what} {text!r}: {error}.") from error
    if not callable(found):
        raise InputError(f"{what} {text!r}: {match['function']} is not a function.")
    return found  # type: ignore[no-any-return]


def call_factory(factory: Callable[..., Any], arguments: Mapping[str, Any], *, what: str) -> Any:
    """Return what a user's function returns; whatever it raises is an InputError that says it."""
    try:
        return factory(**arguments)
    except Exception as error:  # it is the user's code: anything may go wrong in it
        given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{what}: the call with ({given}) raised {said}") from error
