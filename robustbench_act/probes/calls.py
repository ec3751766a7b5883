"""Follow the calls of a network's activation layers: modules and functions, repeated and in place."""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from robustbench_act.activations._functional import calls_activations, is_activation_function
from robustbench_act.activations.layers import parts
from robustbench_act.probes.compiled import path_as_written, run_as_written

UNSEEN = "activations inside TorchScript cannot be watched"


@dataclass(frozen=True)
class Call:
    """One call of an activation in a forward pass.

    Attributes
    ----------
    layer
        `path` of the module; `path.relu()` for a function called in the forward pass of the module at `path`;
        with `#2`, `#3`, ... at further calls in one pass.
    activation
        The module, or the function of the input alone; it may work in place.
    images
        Length of the batch that the pass began with; None if it began without a tensor.
    """

    layer: str
    activation: nn.Module | Callable[[Tensor], Tensor]
    images: int | None = None


class Watcher(Protocol):
    """An observer of every call, in the order of the calls."""

    def before(self, call: Call, x: Any) -> Tensor | None:
        """Take the input, which the call may overwrite; a returned tensor replaces it."""

    def after(self, call: Call, output: Any) -> None:
        """Take the output."""


class FollowedCalls:
    """Context manager in which a watcher observes every activation call in the passes of a network.

    Layers are the modules that `activation_layers` lists and the functions of the same names (F.relu, x.silu,
    torch.tanh, ...) that the forward passes of other modules call; what an activation or a gate of the
    network's own calls inside is part of it. The hooks are gone when the block ends, also after an exception.

    Attributes
    ----------
    passed_over
        Paths of parts whose activations cannot be watched, with the reason.
    """

    def __init__(self, model: nn.Module, watcher: Watcher) -> None:
        self._model, self._watcher = model, watcher
        self._handles: list[Any] = []
        self._mode: _FunctionMode | None = None  # while it is open: they refer to each other
        self._within: list[str] = []  # paths of the modules whose forward passes are under way
        self._inside: list[Call | None] = []  # activations and gates (None) that are being called
        self._counts: Counter[str] = Counter()
        self._images: int | None = None  # of the pass that is under way
        self._eager: AbstractContextManager[object] = nullcontext()
        self.passed_over: dict[str, str] = {}

    def __enter__(self) -> Self:
        for path, module, role in parts(self._model):
            written = path_as_written(path)
            if role == "activation":
                self._follow_layer(written or type(module).__name__, module)
            elif role == "gate":
                self._follow_layer(None, module)
            elif isinstance(module, torch.jit.ScriptModule):
                if calls_activations(module):
                    self.passed_over[written] = UNSEEN
            elif _may_call_functions(module):
                self._follow_path(written, module)
        self._eager = run_as_written(self._model)
        self._eager.__enter__()
        self._mode = _FunctionMode(self)
        self._mode.__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._mode is not None
        self._mode.__exit__(kind, error, trace)  # type: ignore[no-untyped-call]
        self._mode = None
        self._eager.__exit__(kind, error, trace)
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _follow_path(self, path: str, module: nn.Module) -> None:
        def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self._start_pass([*args, *kwargs.values()])
            self._within.append(path)

        def leave(*_: object) -> None:
            self._within.pop()

        self._handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
        self._handles.append(module.register_forward_hook(leave, always_call=True))  # after an exception too

    def _start_pass(self, inputs: Iterable[Any]) -> None:
        """Restart the count if this is the outermost call: of the network, or of a part on its own."""
        if not self._within:
            self._counts.clear()
            batches = [len(one) for one in inputs if isinstance(one, Tensor) and one.ndim > 0]
            self._images = batches[0] if batches else None

    def _follow_layer(self, path: str | None, module: nn.Module) -> None:
        """Watch an activation, or let a gate (no path) pass with all that it calls."""

        def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            inputs = [*args, *kwargs.values()]
            self._start_pass(inputs)
            call = None if path is None or self._inside else self._next(path, module)
            self._inside.append(call)
            replaced = self._tell_before(call, inputs) if call is not None else None
            return None if replaced is None else ((replaced,), {})

        def after(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            call = self._inside[-1]
            if call is not None:
                self._tell_after(call, output)

        def leave(*_: object) -> None:
            self._inside.pop()

        # TorchScript overrides the two methods to refuse, yet its calls run the hooks.
        self._handles.append(nn.Module.register_forward_pre_hook(module, before, with_kwargs=True))
        self._handles.append(nn.Module.register_forward_hook(module, after))
        self._handles.append(nn.Module.register_forward_hook(module, leave, always_call=True))

    def call_function(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call a function of torch, as a layer if it is one."""
        if not self._within or self._inside or not is_activation_function(function):
            return function(*args, **kwargs)
        if not args:  # F.relu(input=x)
            kwargs = dict(kwargs)
            args = (kwargs.pop("input"),)
        rest = args[1:]
        name = f"{function.__name__.rstrip('_')}()"
        path = f"{self._within[-1]}.{name}" if self._within[-1] else name
        call = self._next(path, lambda x: function(x, *rest, **kwargs))
        self._inside.append(call)
        try:
            replaced = self._tell_before(call, args[:1])
            output = function(args[0] if replaced is None else replaced, *rest, **kwargs)
            self._tell_after(call, output)
        finally:
            self._inside.pop()
        return output

    def _next(self, path: str, activation: nn.Module | Callable[[Tensor], Tensor]) -> Call:
        self._counts[path] += 1
        count = self._counts[path]
        return Call(path if count == 1 else f"{path}#{count}", activation, self._images)

    def _tell_before(self, call: Call, inputs: Iterable[Any]) -> Tensor | None:
        (x,) = [*inputs][:1] or [None]
        with torch._C.DisableTorchFunction():  # hides the watcher's work from the mode
            return self._watcher.before(call, x)

    def _tell_after(self, call: Call, output: Any) -> None:
        with torch._C.DisableTorchFunction():
            self._watcher.after(call, output)


class _FunctionMode(TorchFunctionMode):
    """Shows the calls of torch's functions to a `FollowedCalls`."""

    def __init__(self, calls: FollowedCalls) -> None:
        super().__init__()
        self._calls = calls

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return self._calls.call_function(func, args, kwargs or {})


def _may_call_functions(module: nn.Module) -> bool:
    """Tell whether a module may call activation functions; the leaves of torch.nn do not."""
    return not type(module).__module__.startswith("torch.nn.") or any(True for _ in module.children())


def is_measurable(value: Any) -> bool:
    """Tell whether an activation takes or returns what probes measure: one tensor of floats (N, ...)."""
    return isinstance(value, Tensor) and value.is_floating_point() and value.ndim > 1
