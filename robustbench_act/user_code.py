"""Users' own code: modules they name, functions and classes in them, and installed plugins."""

import hashlib
import importlib
import importlib.metadata
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from robustbench_act.errors import InputError

_MODULE = r"[^\W\d]\w*(\.[^\W\d]\w*)*"
_NAME = re.compile(rf"(?P<module>{_MODULE}):(?P<function>[^\W\d]\w*)")
_INSTALLED = ("site-packages", "dist-packages")

_RECORDED = ("torch", "torchvision")  # runs record their versions

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
        raise InputError(f"{what}: importing {module} raised {_one_line(error)}") from error


def call_factory(factory: Callable[..., Any], arguments: Mapping[str, Any], *, what: str) -> Any:
    """Call a user's function and return its result; an InputError quotes whatever it raises."""
    try:
        return factory(**arguments)
    except (Exception, SystemExit) as error:
        given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        raise InputError(f"{what}: the call with ({given}) raised {_one_line(error)}") from error


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def origin(thing: Callable[..., Any]) -> str:
    """Return where a function or class is defined, as `find_factory` takes it.

    >>> from pathlib import Path
    >>> origin(Path)
    'pathlib:Path'
    """
    return f"{thing.__module__}:{thing.__qualname__}"


def source_digest(thing: Callable[..., Any]) -> str:
    """Return the SHA-256 of the source files that define a function or class.

    They are the file of its module, and those of the modules in the same package or folder that this one
    refers to, directly or not. Without a file (in a notebook) it is that of its own source; "" without any,
    and for what is torch's: runs record the versions of libraries.
    """
    if _package(thing.__module__) in _RECORDED:
        return ""
    module = sys.modules.get(thing.__module__)
    if module is None or not getattr(module, "__file__", None):
        try:
            return hashlib.sha256(inspect.getsource(thing).encode()).hexdigest()
        except (OSError, TypeError):
            return ""
    digest = hashlib.sha256()
    for name, path in sorted(_sources(module).items()):
        digest.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _sources(module: ModuleType) -> dict[str, Path]:
    """Return the files of a module and of those beside it that it refers to, by the modules' names."""
    found: dict[str, Path] = {}
    todo = [module]
    root, package = _root(module), _package(module.__name__)
    while todo:
        one = todo.pop()
        path = Path(str(getattr(one, "__file__", None)))
        if one.__name__ in found or path.suffix != ".py" or not path.is_file():
            continue
        same_package = _package(one.__name__) == package
        beside = root in path.parents and not set(_INSTALLED) & set(path.parts)
        if one is module or same_package or beside:
            # A script runs as __main__, and again as __mp_main__ in the processes that it starts.
            found["__main__" if one.__name__ == "__mp_main__" else one.__name__] = path
            todo += _referred(one)
    return found


def _package(module: str) -> str:
    return module.partition(".")[0]


def _root(module: ModuleType) -> Path:
    return Path(str(module.__file__)).resolve().parents[module.__name__.count(".")]


def _referred(module: ModuleType) -> Iterator[ModuleType]:
    for value in list(vars(module).values()):
        if issubclass(type(value), ModuleType):  # isinstance would ask the value, which may be anything
            yield value
        elif issubclass(type(value), type) or inspect.isfunction(value):
            other = sys.modules.get(value.__module__)
            if other is not None:
                yield other


@cache
def plugins(kind: str) -> Mapping[str, importlib.metadata.EntryPoint]:
    """Return the entry points `actrobust.<kind>` of installed packages by their names; none is loaded."""
    return {point.name: point for point in importlib.metadata.entry_points(group=f"actrobust.{kind}")}


def load_plugin(point: importlib.metadata.EntryPoint, *, what: str) -> Any:
    """Return what an entry point names; an InputError names its package if that fails."""
    try:
        return point.load()
    except (Exception, SystemExit) as error:
        whose = f"{point.value} of {package_of(point)}"
        raise InputError(f"{what}: loading {whose} raised {_one_line(error)}") from error


def package_of(point: importlib.metadata.EntryPoint) -> str:
    """Return the name of the package that an entry point belongs to."""
    return point.dist.name if point.dist is not None else "an installed package"
