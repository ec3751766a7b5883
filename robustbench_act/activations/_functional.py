"""Find activations that a network calls as functions, so that there is no module to replace."""

import ast
import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robustbench_act.activations._source import Code, reachable, resolve, self_attribute
from robustbench_act.activations.layers import is_activation_class, parts, role_of
from robustbench_act.errors import InputError

_PLAIN_NAMES = (
    *("celu", "elu", "gelu", "hardshrink", "hardswish", "hardtanh", "leaky_relu", "mish", "prelu", "relu"),
    *("relu6", "rrelu", "selu", "silu", "softplus", "softshrink", "softsign", "tanh", "tanhshrink"),
    "threshold",
)
_NAMES = (*_PLAIN_NAMES, *(f"{name}_" for name in _PLAIN_NAMES))
# By identity, since a module may hold objects that are not hashable.
_FUNCTIONS = {
    id(getattr(space, name)): getattr(space, name)
    for space in (F, torch, torch._C._nn)
    for name in _NAMES
    if hasattr(space, name)
}
_METHODS = {getattr(Tensor, name) for name in _NAMES if hasattr(Tensor, name)}
_TENSOR_METHODS = frozenset(name for name in _NAMES if hasattr(Tensor, name))


def is_activation_function(function: object) -> bool:
    """Tell whether a torch function or tensor method is a hidden nonlinearity: F.relu, x.tanh_.

    The names are those of the modules that `activation_layers` lists.

    >>> [is_activation_function(function) for function in (F.relu, Tensor.relu_, F.sigmoid)]
    [True, True, False]
    """
    return id(function) in _FUNCTIONS or function in _METHODS


def calls_activations(script: torch.jit.ScriptModule) -> bool:
    """Tell whether a TorchScript module calls hidden nonlinearities, as modules or as functions.

    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):
    ...     scripts = [torch.jit.script(nn.Sequential(one)) for one in (nn.ReLU6(), nn.Sigmoid())]
    >>> [calls_activations(script) for script in scripts]
    [True, False]
    """
    graph: Any = script.inlined_graph
    called = any(graph.findNode(f"aten::{name}") for name in _NAMES)
    return called or any(role_of(part) == "activation" for part in script.modules())


def check_modules_only(model: nn.Module) -> None:
    """Raise InputError if an activation in a network's forward passes is not a module to be replaced."""
    seen: set[object] = set()
    for path, module, role in parts(model):
        if isinstance(module, torch.jit.ScriptModule) and role == "script" and calls_activations(module):
            raise InputError(
                f"Expected activations that are modules, but {path or 'the network'} is TorchScript, in "
                "which none can be replaced: use the module that it was made from."
            )
        held = frozenset(name for name, value in vars(module).items() if _is_function(value))
        key = (type(module), getattr(module.forward, "__func__", module.forward), held)
        of_torch = type(module).__module__.startswith("torch.nn.")
        if role != "other" or key in seen or (of_torch and not held):
            continue
        seen.add(key)
        for code, node in _functional(module):
            where = f"{type(module).__name__}{f' ({path})' if path else ''}"
            raise InputError(
                f"Expected activations that are modules, but {where} uses {ast.unparse(node)} as a function: "
                f"{code.file}, line {node.lineno}. Make it a module, for example self.act = nn.ReLU()."
            )


def _is_function(value: object) -> bool:
    while isinstance(value, functools.partial):
        value = value.func
    return id(value) in _FUNCTIONS


def _functional(module: nn.Module) -> Iterator[tuple[Code, ast.expr]]:
    """Yield each place in the forward pass with F.relu, a self.f that holds it, x.relu() or nn.ReLU()."""
    for code in reachable(module):
        for node in ast.walk(code.node):
            if isinstance(node, ast.Attribute | ast.Name):
                held = self_attribute(node, code)
                if _is_function(vars(module).get(held) if held else resolve(node, code)):
                    yield code, node
            elif isinstance(node, ast.Call) and (_makes_module(node, code) or _is_tensor_method(node)):
                yield code, node.func


def _makes_module(node: ast.Call, code: Code) -> bool:
    target = resolve(node.func, code)
    return isinstance(target, type) and is_activation_class(target)


def _is_tensor_method(node: ast.Call) -> bool:
    """Tell x.relu() from self.relu(x), block.relu(x) and math.tanh(x): it takes no argument."""
    if not isinstance(node.func, ast.Attribute) or node.func.attr not in _TENSOR_METHODS:
        return False
    return not (node.args or node.keywords)
