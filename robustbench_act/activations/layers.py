"""Activation layers, and one activation for each call of a shared one."""

import weakref
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from robustbench_act.activations.adaptive import SMU, PerChannel, Snake, Swish
from robustbench_act.activations.anact import NormalizedActivation
from robustbench_act.activations.layeract import LayerAct
from robustbench_act.activations.literature import Logish, Serf, TanhExp
from robustbench_act.activations.own import own_role
from robustbench_act.english import some
from robustbench_act.errors import InputError

# Hidden nonlinearities. Gates and normalisers (Sigmoid, Hardsigmoid, LogSigmoid, Softmax, GLU) do not count.
ACTIVATION_TYPES: tuple[type[nn.Module], ...] = (
    nn.CELU,
    nn.ELU,
    nn.GELU,
    nn.Hardshrink,
    nn.Hardswish,
    nn.Hardtanh,  # and ReLU6
    nn.LeakyReLU,
    nn.Mish,
    nn.PReLU,
    nn.RReLU,
    nn.ReLU,
    nn.SELU,
    nn.SiLU,
    nn.Softplus,
    nn.Softshrink,
    nn.Softsign,
    nn.Tanh,
    nn.Tanhshrink,
    nn.Threshold,
    LayerAct,
    NormalizedActivation,
    Serf,
    TanhExp,
    Logish,
    Swish,
    SMU,
    Snake,
    PerChannel,
)

_declared: set[type[nn.Module]] = set()


def declare_activation(kind: type[nn.Module]) -> None:
    """Let the modules of a user's own class be activation layers, whatever they do."""
    if not issubclass(kind, ACTIVATION_TYPES) and not kind.__module__.startswith("torch.nn."):
        _declared.add(kind)


_watched: weakref.WeakSet[nn.Module] = weakref.WeakSet()


def watch_layers(model: nn.Module, patterns: Iterable[str]) -> None:
    """Let more modules of a network be activation layers: by their class or their name in the network.

    >>> network = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Sequential(nn.Sigmoid()))
    >>> watch_layers(network, ["torch.nn.*.Sigmoid"])
    >>> [path for path, _ in activation_layers(network)]
    ['1', '2.0']

    Parameters
    ----------
    patterns
        Wildcard patterns of classes, "colleague.Swish2", or of names, "*.act*". An InputError if there are
        some, but none matches.
    """
    wanted = list(patterns)
    named = list(model.named_modules())[1:]
    found = [
        module
        for path, module in named
        if any(fnmatchcase(path, one) or fnmatchcase(class_name(module), one) for one in wanted)
    ]
    if wanted and not found:
        leaves = sorted(
            {class_name(module) for _, module in named if not any(True for _ in module.children())}
        )
        raise InputError(
            f"--layers: expected classes or names of modules of {type(model).__name__}, got "
            f"{', '.join(wanted)}; it has the classes {some(leaves)}."
        )
    _watched.update(found)


def declared_layers(model: nn.Module) -> tuple[str, ...]:
    """Return the paths of activation layers that are some because a user says so, by class or by pattern."""
    return tuple(
        path for path, one in activation_layers(model) if path and (one in _watched or is_declared(type(one)))
    )


def mark_layers(model: nn.Module, paths: Iterable[str]) -> None:
    """Let modules be activation layers as `declared_layers` of another process says."""
    _watched.update(model.get_submodule(path) for path in paths)


def class_name(module: nn.Module) -> str:
    """Return the name of a module's class with that of its Python module."""
    return f"{type(module).__module__}.{type(module).__qualname__}"


def is_declared(kind: type) -> bool:
    """Tell whether a class is an activation because a user says so."""
    return issubclass(kind, tuple(_declared))


def is_activation_class(kind: type) -> bool:
    """Tell whether the modules of a class are activation layers: by their type, not by what they do."""
    return issubclass(kind, (*ACTIVATION_TYPES, *_declared))


Role = Literal["activation", "gate", "script", "other"]


def role_of(module: nn.Module, *, whole: bool = False) -> Role:
    """Tell what a part of a network counts as; of an "other" one, the modules inside count one by one.

    An "activation" is a layer (see `activation_layers`), and what it holds or calls is a part of it. What a
    "gate" of the user's own holds or calls does not count either. Into a "script" (TorchScript) nothing can
    look. A whole network is not one of its own layers, unless it is one of torch.nn or of this package.

    >>> role_of(nn.ReLU()), role_of(nn.Sigmoid()), role_of(nn.Sequential(nn.ReLU()))
    ('activation', 'other', 'other')
    """
    if module in _watched or is_activation_class(type(module)):
        return "activation"
    own = None if whole else own_role(module)
    return own or ("script" if isinstance(module, torch.jit.ScriptModule) else "other")


def activation_layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return (path, module) of each activation layer of a network, in module order, each module once.

    Activation layers are the hidden nonlinearities of torch.nn and of this package, those of registered
    classes, and modules of a network's own that act like one (`own_role`). Gates and normalisers
    (Sigmoid, Hardsigmoid, Softmax, LogSoftmax, GLU, ...) do not count, so in a squeeze-and-excitation block
    the inner ReLU or SiLU counts and its sigmoid does not; nor does the function inside a
    `NormalizedActivation` or inside a gate of the network's own. The modules of a `PerCall` count one by one,
    those inside a TorchScript module do not.

    >>> network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Sequential(nn.SiLU(), nn.Sigmoid()))
    >>> activation_layers(network)
    [('1', ReLU()), ('2.0', SiLU())]
    """
    return [(path, module) for path, module, role in parts(model) if role == "activation"]


def parts(model: nn.Module) -> Iterator[tuple[str, nn.Module, Role]]:
    """Yield (path, module, role) of a network and of its parts, in module order, each module once.

    The modules inside an activation, a gate or a script are not parts.
    """
    return _walk(model, "", set())


def _walk(module: nn.Module, path: str, seen: set[int]) -> Iterator[tuple[str, nn.Module, Role]]:
    if id(module) in seen:
        return
    seen.add(id(module))
    role = role_of(module, whole=path == "")
    yield path, module, role
    if role == "other":
        for name, child in module.named_children():
            yield from _walk(child, f"{path}.{name}" if path else name, seen)


class PerCall(nn.ModuleList):
    """One activation for each call of a shared module: the first call goes to the first, and so on.

    Replaces a module that its owner calls several times in a forward pass, when each call has to learn and
    average on its own. `RestartCalls`, a hook on the owner, restarts the count at each of the owner's passes,
    so a pass cut short by an exception leaves no trace. A call too many in one pass raises InputError.

    >>> import torch
    >>> act = PerCall([nn.ReLU(), nn.Tanh()])
    >>> x = torch.tensor([-1.0, 1.0])
    >>> act(x), act(x)
    (tensor([0., 1.]), tensor([-0.7616,  0.7616]))
    """

    def __init__(self, activations: Iterable[nn.Module]) -> None:
        super().__init__(activations)
        self._next = 0

    def restart(self) -> None:
        """Let the next call be the first."""
        self._next = 0

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation whose turn it is to x."""
        turn = self._next
        if turn >= len(self):
            raise InputError(
                f"Expected at most {len(self)} call(s) of an activation with state in one pass of the module "
                f"that holds it, but it was called again. Give each call a module of its own."
            )
        self._next = turn + 1
        return cast(Tensor, self[turn](x))


class RestartCalls:
    """Forward pre-hook of a module that holds `PerCall`s at the given paths.

    Knows paths, not modules, so that a deep copy of the owner restarts its own.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = tuple(paths)

    def __call__(self, owner: nn.Module, args: tuple[Any, ...]) -> None:
        """Restart them."""
        for path in self.paths:
            cast(PerCall, owner.get_submodule(path)).restart()
