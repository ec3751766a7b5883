"""Count how often a forward pass calls a submodule, from its source."""

import ast
import math
from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from robustbench_act.activations._source import Code, code_of, method_of, self_attribute

_REPEATED = (ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_DEFERRED = (ast.Lambda, ast.FunctionDef, ast.AsyncFunctionDef)
_UNSURE = (ast.Try, ast.BoolOp, ast.Match)


@dataclass(frozen=True)
class Calls:
    """Least and greatest number of calls in one pass; `most` is infinite if they cannot be counted."""

    least: float
    most: float

    def __add__(self, other: "Calls") -> "Calls":
        return Calls(self.least + other.least, self.most + other.most)

    def either(self, other: "Calls") -> "Calls":
        """Return the calls of a branch: these or those."""
        return Calls(min(self.least, other.least), max(self.most, other.most))

    def any_number(self) -> "Calls":
        """Return these calls made any number of times."""
        return Calls(0, math.inf if self.most else 0)


_NONE, _ONE, _UNCOUNTABLE = Calls(0, 0), Calls(1, 1), Calls(0, math.inf)


def count_calls(owner: nn.Module, name: str) -> Calls:
    """Return how often `owner.forward` calls `owner.<name>`; 0 if its source does not name it."""
    if type(owner).forward is nn.Sequential.forward:
        return _ONE
    return _Counter(owner, name).of_function(owner.forward)


class _Counter:
    """The walk through the forward pass and the methods it calls."""

    def __init__(self, owner: nn.Module, name: str) -> None:
        self.owner, self.name = owner, name
        self._active: list[object] = []

    def of_function(self, function: object) -> Calls:
        code = code_of(function)
        if code is None:
            return _NONE
        if code.function in self._active:  # recursion
            return _UNCOUNTABLE
        self._active.append(code.function)
        calls = self._block(code.node.body, code)
        self._active.pop()
        return calls

    def _block(self, statements: list[ast.stmt], code: Code) -> Calls:
        calls = _NONE
        for i, statement in enumerate(statements):
            if isinstance(statement, ast.If) and isinstance(statement.body[-1], ast.Return | ast.Raise):
                calls += self._test(statement.test, code)
                rest = self._block([*statement.orelse, *statements[i + 1 :]], code)
                if isinstance(statement.body[-1], ast.Raise):
                    return calls + rest
                return calls + rest.either(self._block(statement.body, code))
            calls += self._node(statement, code)
        return calls

    def _node(self, node: ast.AST, code: Code) -> Calls:
        if isinstance(node, ast.If):
            branches = self._block(node.body, code).either(self._block(node.orelse, code))
            return self._test(node.test, code) + branches
        if isinstance(node, ast.IfExp):
            branches = self._node(node.body, code).either(self._node(node.orelse, code))
            return self._test(node.test, code) + branches
        if isinstance(node, ast.Call):
            return self._call(node, code)
        if isinstance(node, ast.Attribute):
            return self._attribute(node, code)
        calls = self._sum(ast.iter_child_nodes(node), code)
        if isinstance(node, _REPEATED + _DEFERRED):
            return calls.any_number()
        return _NONE.either(calls) if isinstance(node, _UNSURE) else calls

    def _test(self, node: ast.expr, code: Code) -> Calls:
        """Count in a condition: `self.act`, `not self.act` and `self.act is None` are not calls."""
        while isinstance(node, ast.UnaryOp):
            node = node.operand
        if isinstance(node, ast.BoolOp):
            return _NONE.either(sum((self._test(value, code) for value in node.values), _NONE))
        subject = node.left if isinstance(node, ast.Compare) else node
        return _NONE if self_attribute(subject, code) == self.name else self._node(node, code)

    def _call(self, node: ast.Call, code: Code) -> Calls:
        arguments = self._sum([*node.args, *node.keywords], code)
        if self_attribute(node.func, code) == self.name:
            return arguments + _ONE
        method = method_of(node.func, code, self.owner)
        return arguments + (self.of_function(method) if method else self._node(node.func, code))

    def _attribute(self, node: ast.Attribute, code: Code) -> Calls:
        """Count for an attribute that is read but not called: an alias, an argument, a property."""
        if self_attribute(node, code) == self.name:
            return _UNCOUNTABLE
        method = method_of(node, code, self.owner)
        return self.of_function(method).any_number() if method else self._node(node.value, code)

    def _sum(self, nodes: Iterable[ast.AST], code: Code) -> Calls:
        return sum((self._node(node, code) for node in nodes), _NONE)
