"""Users' own functions, named as package.module:function."""

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
    """Return the function that package.module:function names; its module may be in the working folder.

    If there is none, an InputError begins with `what`, and suggests one of `names` if it is near.
    """
    match = _NAME.fullmatch(text)
    if match is None:
        raise InputError(f"{what} {text!r}: expected package.module:function.")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # files in the working folder are found, as by `python -m`
    module = match["module"]
    try:
        found = getattr(importlib.import_module(module), match["function"])
    except ModuleNotFoundError as error:
        nearest = get_close_matches(module, [*names, *(path.stem for path in Path.cwd().glob("*.py"))], n=1)
        near = f" Did you mean {nearest[0]!r}?" if nearest else ""
        near = f" Write {module.removesuffix('.py')}:{match['function']}." if module.endswith(".py") else near
        raise InputError(f"{what} {text!r}: {error}, also looked in {Path.cwd()}.{near}") from error
    except AttributeError as error:
        raise InputError(f"{what} {text!r}: {error}.") from error
    except (Exception, SystemExit) as error:  # it is the user's code: anything may go wrong in it
        raise InputError(f"{what} {text!r}: importing {module} raised {_one_line(error)}") from error
    if not callable(found):
        raise InputError(f"{what} {text!r}: {match['function']} is not a function.")
    return found  # type: ignore[no-any-return]


def call_factory(factory: Callable[..., Any], arguments: Mapping[str, Any], *, what: str) -> Any:
    """Call a user's function and return its result; an InputError quotes whatever it raises."""
    try:
        return factory(**arguments)
    except (Exception, SystemExit) as error:
        given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        raise InputError(f"{what}: the call with ({given}) raised {_one_line(error)}") from error


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
