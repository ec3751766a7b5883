"""Users' own code: modules they name, functions and classes in them; and what corruptions need of it too."""

import importlib
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from corruptions.code import in_one_line, load_plugin, origin, package_of, plugins, source_digest
from robustbench_act.errors import InputError

__all__ = [
    "call_factory",
    "find_factory",
    "find_named",
    "import_modules",
    "is_factory",
    "is_named",
    "load_plugin",
    "origin",
    "package_of",
    "plugins",
    "source_digest",
]

_MODULE = r"[^\W\d]\w*(\.[^\W\d]\w*)*"
_NAME = re.compile(rf"(?P<module>{_MODULE}):(?P<function>[^\W\d]\w*)")
_named: set[str] = set()


def import_modules(names: Iterable[str]) -> None:
    """Import modules that the user names; files may then name functions and classes of theirs.

    A module may be in the working folder; a text is one name. An InputError quotes whatever goes wrong.
    """
    for name in [names] if isinstance(names, str) else names:
        if re.fullmatch(_MODULE, name) is None:
            raise InputError(f"--import {name!r}: expected package.module.")
        _imported(name, what=f"--import {name!r}")
        _named.add(name)


def is_named(module: str) -> bool:
    """Tell whether the user has named a module to `import_modules`, or a package that has imported it.

    A module of that package that nothing has imported yet is not meant: no file causes an import.
    """
    return module in _named or (
        module in sys.modules and any(module.startswith(f"{name}.") for name in _named)
    )


def find_named(text: str, *, what: str, trusted: bool = False) -> Callable[..., Any]:
    """Return what a file names as package.module:function, if the user has named that module.

    Only what the module itself defines: it may import functions that nobody meant to offer. `trusted` is for
    processes that this one starts. An InputError, which begins with `what`, says what to pass.
    """
    module, _, function = text.partition(":")
    if module == "__main__":
        raise InputError(
            f"{what} is defined in a script or a notebook, where other processes cannot find it; put it "
            "into a module."
        )
    if not (trusted or is_named(module)):
        raise InputError(
            f"{what} is code of yours, {text}; pass --import {module} (imports=[{module!r}] in Python) if "
            "you trust that module."
        )
    found = find_factory(text, what=what)
    if getattr(found, "__module__", None) != module:
        raise InputError(f"{what} {text!r}: {module} does not define {function}.")
    return found


def is_factory(text: str) -> bool:
    """Tell whether a text names a function, as package.module:function.

    >>> is_factory("mine.data:photos"), is_factory("cifar-10:data"), is_factory("mnist-1k")
    (True, False, False)
    """
    return _NAME.fullmatch(text) is not None


def find_factory(text: str, *, what: str, names: Iterable[str] = ()) -> Callable[..., Any]:
    """Return the function or class that package.module:function names; it may be in the working folder.

    If there is none, an InputError begins with `what`, and suggests one of `names` if it is near.
    """
    match = _NAME.fullmatch(text)
    if match is None:
        raise InputError(f"{what} {text!r}: expected package.module:function.")
    module, function = match["module"], match["function"]
    imported = _imported(module, what=f"{what} {text!r}", names=names, function=function)
    try:
        found = getattr(imported, function)
    except AttributeError as error:
        raise InputError(f"{what} {text!r}: {error}.") from error
    if not callable(found):
        raise InputError(f"{what} {text!r}: {function} is not a function.")
    return found  # type: ignore[no-any-return]


def _imported(module: str, *, what: str, names: Iterable[str] = (), function: str = "") -> ModuleType:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # files in the working folder are found, as by `python -m`
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        nearest = get_close_matches(module, [*names, *(path.stem for path in Path.cwd().glob("*.py"))], n=1)
        near = f" Did you mean {nearest[0]!r}?" if nearest else ""
        if module.endswith(".py"):
            plain = module.removesuffix(".py")
            near = f" Write {f'{plain}:{function}' if function else plain}."
        raise InputError(f"{what}: {error}, also looked in {Path.cwd()}.{near}") from error
    except (Exception, SystemExit) as error:  # it is the user's code: anything may go wrong in it
        raise InputError(f"{what}: importing {module} raised {in_one_line(error)}") from error


def call_factory(factory: Callable[..., Any], arguments: Mapping[str, Any], *, what: str) -> Any:
    """Call a user's function and return its result; an InputError quotes whatever it raises."""
    try:
        return factory(**arguments)
    except (Exception, SystemExit) as error:
        given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        raise InputError(f"{what}: the call with ({given}) raised {in_one_line(error)}") from error
