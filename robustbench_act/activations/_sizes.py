"""Sizes of what enters each activation layer, found by one pass through a copy of the network."""

import copy
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from robustbench_act.errors import InputError, first_line

_SIDES = (32, 64, 224)  # of square images that are tried if channels alone matter


class Size(NamedTuple):
    """The shape of an input (N, ...), and the number of its channels.

    Channels are on axis 1, after layers of tokens (Linear, LayerNorm) on the last one.
    """

    shape: tuple[int, ...]
    channels: int


def input_sizes(
    model: nn.Module, paths: Iterable[str], input_size: Sequence[int] | None, *, exact: bool
) -> dict[str, list[Size]]:
    """Return the sizes of the inputs of modules, of each of their calls in a pass.

    The pass is that of one image of zeros, in evaluation mode, through a copy of the network.

    Parameters
    ----------
    paths
        Of the modules.
    input_size
        (C, H, W) of the images; None if the first layer tells the channels and the sides do not matter.
    exact
        Whether they do.

    Raises
    ------
    InputError
        If the network does not take such images, or does not call one of the modules.
    """
    wanted = list(paths)
    tried = [tuple(input_size)] if input_size is not None else [] if exact else list(_guesses(model))
    if not tried:
        raise InputError(
            "Expected input_size=(C, H, W) of the images: the activation takes sizes of its layers, and they "
            "depend on it."
        )
    problem = ""
    for size in tried:
        try:
            found = _pass(copy.deepcopy(model), wanted, size)
        except Exception as error:  # it is the user's network
            problem = problem or f"images of {size} raised {type(error).__name__}: {first_line(error)}"
            continue
        missing = [path for path in wanted if not found[path]]
        if missing:
            raise InputError(
                f"{missing[0]}: is not called in evaluation mode, so the size of its input is unknown; the "
                "activation takes it."
            )
        return found
    advice = "" if input_size is not None else "; pass input_size=(C, H, W) of the images"
    raise InputError(
        f"The sizes of the layers, which the activation takes, cannot be found: {problem}{advice}."
    )


def _guesses(model: nn.Module) -> list[tuple[int, ...]]:
    first = next((one for one in model.modules() if any(True for _ in one.parameters(recurse=False))), None)
    return [(first.in_channels, side, side) for side in _SIDES] if isinstance(first, nn.Conv2d) else []


@torch.no_grad()
def _pass(network: nn.Module, paths: list[str], size: tuple[int, ...]) -> dict[str, list[Size]]:
    found: dict[str, list[Size]] = {path: [] for path in paths}
    axis = 1

    def follow(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        nonlocal axis
        axis = -1 if type(module) in (nn.Linear, nn.LayerNorm) else 1

    for module in network.modules():
        if any(True for _ in module.parameters(recurse=False)):
            module.register_forward_hook(follow)
    for path in paths:

        def note(module: nn.Module, args: tuple[Any, ...], path: str = path) -> None:
            if args and isinstance(args[0], Tensor):
                shape = tuple(args[0].shape)
                if len(shape) < 2:
                    raise InputError(f"{path}: expected an input with channels (N, C, ...), got {shape}.")
                found[path].append(Size(shape, shape[axis]))

        network.get_submodule(path).register_forward_pre_hook(note)
    network.eval()
    like = next(network.parameters(), torch.zeros(()))
    with torch.random.fork_rng(devices=[]):
        network(torch.zeros(1, *size, device=like.device, dtype=like.dtype))
    return found
