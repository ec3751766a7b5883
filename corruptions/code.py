"""Code that is not ours: the digest of its source files, and what installed packages offer."""

import hashlib
import importlib.metadata
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import InputError

_INSTALLED = ("site-packages", "dist-packages")

_RECORDED = ("torch", "torchvision")  # runs record their versions


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
    and for what is torch's or Python's own: runs record the versions.
    """
    if _package(thing.__module__) in {*_RECORDED, *sys.stdlib_module_names}:
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
        raise InputError(f"{what}: loading {whose} raised {in_one_line(error)}") from error


def package_of(point: importlib.metadata.EntryPoint) -> str:
    """Return the name of the package that an entry point belongs to."""
    return point.dist.name if point.dist is not None else "an installed package"


def in_one_line(error: BaseException) -> str:
    r"""Return the kind and the message of an error of foreign code, to be quoted in one of ours.

    >>> in_one_line(ValueError("not\na number"))
    'ValueError: not a number'
    """
    return " ".join(f"{type(error).__name__}: {error}".split())
