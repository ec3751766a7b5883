"""Functions of the user's own, named as package.module:function."""

import importlib
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
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


def find_factory(text: str, *, what: str, names: Iterable[str] = ()) -> Callable[..., Any]:
    """Return the function that package.module:function names; the working folder is searched too.

    Raises
    ------
    InputError
        Where there is none; `what` says what was asked for, `names` what else could have been meant.
    """
    match = _NAME.fullmatch(text)
    if match is None:
        raise InputError(f"{what} {text!r}: expected package.module:function.")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # so that a file beside the user is found, as with `python -m`
    module = match["module"]
    try:
        found = getattr(importlib.import_module(module), match["function"])
    except ModuleNotFoundError as error:
        nearest = get_close_matches(module, [*names, *(path.stem for path in Path.cwd().glob("*.py"))], n=1)
        near = f" Did you mean {nearest[0]!r}?" if nearest else ""
        near = f" Write {module.removesuffix('.py')}:{match['function']}." if module.endswith(".py") else near
        raise InputError(f"{what} {text!r}: {error}, looked for in {Path.cwd()} too.{near}") from error
    except AttributeError as error:
        raise InputError(f"{what} {text!r}: {error}.") from error
    except (Exception, SystemExit) as error:  # it is the user's code: anything may go wrong in it
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{what} {text!r}: importing {module} raised {said}") from error
    if not callable(found):
        raise InputError(f"{what} {text!r}: {match['function']} is not a function.")
    return found  # type: ignore[no-any-return]


def call_factory(factory: Callable[..., Any], arguments: Mapping[str, Any], *, what: str) -> Any:
    """Return what a user's function returns; whatever it raises is an InputError that says it."""
    try:
        return factory(**arguments)
    except (Exception, SystemExit) as error:
        given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{what}: the call with ({given}) raised {said}") from error
