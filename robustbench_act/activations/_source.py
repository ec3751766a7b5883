"""Read the source of a module's forward pass: which functions and methods take part in it.

Works on syntax trees, so no input is needed. Code without source (built-in or scripted) is skipped.
"""

import ast
import functools
import inspect
import linecache
from collections.abc import Iterator
from dataclasses import dataclass
from types import CellType, FunctionType
from typing import cast

from torch import nn

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Code:
    """A Python function or method, its syntax tree and its file."""

    function: FunctionType
    node: FunctionNode
    file: str

    @property
    def self_name(self) -> str | None:
        """The name of the first argument."""
        arguments = [*self.node.args.posonlyargs, *self.node.args.args]
        return arguments[0].arg if arguments else None

    @property
    def names(self) -> dict[str, object]:
        """The names that the function takes from outside: globals, then its closure."""
        function = self.function
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        return {**function.__globals__, **{name: _contents(cell) for name, cell in cells}}


def _contents(cell: CellType) -> object | None:
    try:
        return cast(object, cell.cell_contents)
    except ValueError:  # not filled yet
        return None


@functools.lru_cache(maxsize=64)
def _functions(text: str) -> dict[int, FunctionNode]:
    """Return the functions of a file by the line on which they or their first decorator begin."""
    found: dict[int, FunctionNode] = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, FunctionNode):
            found[min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])] = node
    return found


def _plain(function: object) -> object:
    """Return the function within a bound, wrapped, static or class method, or a property."""
    function = getattr(function, "fget", function)
    function = getattr(function, "__func__", function)
    return inspect.unwrap(function) if callable(function) else function


def code_of(function: object) -> Code | None:
    """Return the code of a function or method; None if there is no source."""
    function = _plain(function)
    if not isinstance(function, FunctionType):
        return None
    file = function.__code__.co_filename
    try:
        functions = _functions("".join(linecache.getlines(file, function.__globals__)))
    except SyntaxError:
        return None
    node = functions.get(function.__code__.co_firstlineno)
    return None if node is None else Code(function, node, file)


def resolve(node: ast.AST, code: Code) -> object | None:
    """Return the object that a dotted name means outside the function; None for its local names."""
    if isinstance(node, ast.Attribute):
        return getattr(resolve(node.value, code), node.attr, None)
    if isinstance(node, ast.Name) and node.id not in code.function.__code__.co_varnames:
        return code.names.get(node.id)
    return None


def self_attribute(node: ast.AST, code: Code) -> str | None:
    """Return x if the node reads `self.x`."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return node.attr if node.value.id == code.self_name else None
    return None


def method_of(node: ast.AST, code: Code, module: nn.Module) -> FunctionType | None:
    """Return the function of the method or property that `self.x` or `super().x` means on a module."""
    if not isinstance(node, ast.Attribute):
        return None
    classes: tuple[type, ...] = type(module).__mro__
    if _is_super(node.value):
        homes = (i for i, c in enumerate(classes) if code.function in map(_plain, vars(c).values()))
        classes = classes[next(homes, len(classes)) + 1 :]
    elif self_attribute(node, code) is None:
        return None
    found = next((_plain(vars(c)[node.attr]) for c in classes if node.attr in vars(c)), None)
    return found if isinstance(found, FunctionType) else None


def _is_super(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"


def reachable(module: nn.Module) -> Iterator[Code]:
    """Yield the code of `forward`, and of every method of the module and function outside torch it uses."""
    pending: list[object] = [module.forward]
    seen: set[FunctionType] = set()
    while pending:
        code = code_of(pending.pop())
        if code is None or code.function in seen:
            continue
        seen.add(code.function)
        yield code
        for node in ast.walk(code.node):
            pending.append(method_of(node, code, module) or _function_outside_torch(node, code))


def _function_outside_torch(node: ast.AST, code: Code) -> FunctionType | None:
    target = resolve(node, code)
    if isinstance(target, FunctionType) and target.__module__.partition(".")[0] != "torch":
        return target
    return None
