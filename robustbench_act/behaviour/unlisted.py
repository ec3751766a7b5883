"""Modules that look like activations but are not known to be some."""

from typing import Any

import torch
from torch import Tensor, nn

from robustbench_act.activations.layers import class_name, parts

_LINE = 1e-4  # share of the largest value by which outputs must leave a straight line


@torch.inference_mode()
def unlisted_activations(network: nn.Module, images: Tensor) -> tuple[str, ...]:
    """Return the classes of a network's modules that may be activations, though no layer is one of them.

    They are classes outside torch.nn without children whose output has the shape of the input and is not
    linear in it; those called a norm are left out. Networks without such classes are not run.

    Parameters
    ----------
    images
        Normalised (N, C, H, W), on the network's device.

    Examples
    --------
    >>> class Widest(nn.Module):
    ...     def forward(self, x: Tensor) -> Tensor:
    ...         return x / (1 + x.abs().amax())
    >>> found = unlisted_activations(nn.Sequential(Widest()), torch.ones(1, 2, 3, 3))
    >>> [name.rpartition(".")[2] for name in found]
    ['Widest']
    """
    suspects = [module for _, module, role in parts(network) if role == "other" and _may_be_one(module)]
    if not suspects:
        return ()
    found: dict[str, None] = {}

    def note(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        x = args[0] if len(args) == 1 else None
        alike = isinstance(x, Tensor) and isinstance(output, Tensor) and output.shape == x.shape
        if alike and _bends(module, args[0]):
            found[class_name(module)] = None

    handles = [module.register_forward_hook(note) for module in suspects]
    try:
        with torch.random.fork_rng(devices=[]):
            network(images.clone())
    except Exception:  # noqa: S110 - of the network: the look tells
        pass
    finally:
        for handle in handles:
            handle.remove()
    return tuple(found)


def _may_be_one(module: nn.Module) -> bool:
    kinds = type(module).__mro__
    of_torch = any(kind.__module__.startswith("torch.nn.") for kind in kinds if kind is not nn.Module)
    return not (of_torch or "norm" in kinds[0].__name__.lower() or any(True for _ in module.children()))


def _bends(module: nn.Module, x: Tensor) -> bool:
    """Tell whether f(-x), f(x), f(2x) and f(3x) do not lie on one line, evenly."""
    try:
        minus, one, two, three = (module.forward(scale * x) for scale in (-1, 1, 2, 3))
    except Exception:  # it may want something else
        return False
    step = two - one
    off = torch.maximum((three - two - step).abs().max(), (one - minus - 2 * step).abs().max())
    return bool(off > _LINE * one.abs().max())
