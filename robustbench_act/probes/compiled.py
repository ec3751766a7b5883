"""Compiled networks under a probe: hooks see the layers of networks that run as they were written."""

import sys
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from corruptions._compile import compiles_kernels
from robustbench_act.errors import InputError

_WRAPPED = "_orig_mod"  # torch.compile's name for the module in its wrapper


def refuse_script(model: nn.Module) -> None:
    """Raise InputError if a network is TorchScript."""
    if isinstance(model, torch.jit.ScriptModule):
        raise InputError(
            f"Expected layers that can be watched, but {type(model).__name__} is TorchScript: probe the "
            "network that it was made from, or evaluate it without probes."
        )


def run_as_written(model: nn.Module) -> AbstractContextManager[object]:
    """Return a context in which what torch.compile has compiled runs uncompiled, so that hooks see it.

    Our own kernels stay compiled if `corruptions.use_compile` compiles them, unless a part of the network is
    compiled too.
    """
    if "torch._dynamo" not in sys.modules:  # nothing is compiled, and it takes seconds to load
        return nullcontext()
    if compiles_kernels() and not any(map(_is_compiled, model.modules())):
        return nullcontext()
    stance: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return stance


def path_as_written(path: str) -> str:
    """Return the path of a module without torch.compile's wrappers.

    >>> path_as_written("_orig_mod.layer1._orig_mod.act"), path_as_written("_orig_mod")
    ('layer1.act', '')
    """
    return ".".join(name for name in path.split(".") if name != _WRAPPED)


def _is_compiled(module: nn.Module) -> bool:
    forward = vars(module).get("forward")  # model.forward = torch.compile(model.forward)
    in_place = getattr(module, "_compiled_call_impl", None)  # model.compile()
    return hasattr(module, _WRAPPED) or in_place is not None or hasattr(forward, "_torchdynamo_orig_callable")
