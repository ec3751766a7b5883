"""Sizes of what enters each activation layer, found by one pass through a copy of the network."""

import copy
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from robustbench_act.errors import InputError, first_line

_SIDES = (32, 64, 224)  # of square images that are tried if channels alone matter


def input_shapes(
    model: nn.Module, paths: Iterable[str], input_size: Sequence[int] | None, *, exact: bool
) -> dict[str, list[tuple[int, ...]]]:
    """Return the shapes of the inputs of modules, of each of their calls in a pass.

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
    raise InputError(f"The sizes of the layers, which the activation takes, cannot be found: {problem}.")


def _guesses(model: nn.Module) -> list[tuple[int, ...]]:
    first = next((one for one in model.modules() if any(True for _ in one.parameters(recurse=False))), None)
    return [(first.in_channels, side, side) for side in _SIDES] if isinstance(first, nn.Conv2d) else []


@torch.no_grad()
def _pass(network: nn.Module, paths: list[str], size: tuple[int, ...]) -> dict[str, list[tuple[int, ...]]]:
    found: dict[str, list[tuple[int, ...]]] = {path: [] for path in paths}
    by_module: dict[nn.Module, list[str]] = {}
    for path in paths:
        by_module.setdefault(network.get_submodule(path), []).append(path)
    for module, own in by_module.items():

        def note(module: nn.Module, args: tuple[Any, ...], own: list[str] = own) -> None:
            if args and isinstance(args[0], Tensor):
                for path in own:
                    found[path].append(tuple(args[0].shape))

        module.register_forward_pre_hook(note)
    network.eval()
    like = next((one for one in islice(network.parameters(), 1)), torch.zeros(()))
    with torch.random.fork_rng(devices=[]):
        network(torch.zeros(1, *size, device=like.device, dtype=like.dtype))
    return found
