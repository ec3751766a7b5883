"""What an activation of a user's own must keep, checked on each of its layers before hours are spent."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from robustbench_act.activations.layers import activation_layers, is_declared
from robustbench_act.errors import InputError, first_line


def check_own_layers(model: nn.Module, images: Tensor, *, allow_random: bool = False) -> None:
    """Check the layers of registered activations of users in one pass of a network in evaluation mode.

    The output of each call must have the shape and dtype of its input, be finite where the input is, and be
    the same at a second call; the input must stay as it is. Networks without such layers are not run.

    Parameters
    ----------
    images
        Normalised (N, C, H, W), on the network's device.
    allow_random
        Whether outputs may differ from call to call.

    Raises
    ------
    InputError
        Names the class, the layer, what is wrong and what to do.

    Examples
    --------
    >>> from robustbench_act.activations import get_activation
    >>> class Log(nn.Module):
    ...     def forward(self, x: Tensor) -> Tensor:
    ...         return torch.log(x)
    >>> log = get_activation(Log)
    >>> check_own_layers(nn.Sequential(log).eval(), -torch.ones(1, 2, 3, 3))
    Traceback (most recent call last):
    corruptions.errors.InputError: Activation Log, layer 0: returned NaN for finite inputs; keep its ...
    """
    own = [(path, one) for path, one in activation_layers(model) if is_declared(type(one))]
    if not own:
        return
    as_set = [vars(one).get("forward") for _, one in own]
    try:
        for path, one in own:
            one.forward = _checked(path, one, one.forward, allow_random=allow_random)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            model(images.clone())
    except InputError:
        raise
    except Exception:  # noqa: S110 - of the network: the look and the training report it
        pass
    finally:
        for (_, one), forward in zip(own, as_set, strict=True):
            vars(one).pop("forward", None)
            if forward is not None:
                vars(one)["forward"] = forward


def _checked(
    path: str, module: nn.Module, forward: Callable[..., Any], *, allow_random: bool
) -> Callable[..., Any]:
    """Return the forward pass of a layer with checks of each call."""
    where = f"Activation {type(module).__name__}, layer {path}"

    def checked(x: Any, *more: Any, **named: Any) -> Any:
        if not isinstance(x, Tensor):
            return forward(x, *more, **named)
        before = x.clone()
        try:
            y = forward(x, *more, **named)
            written = not _same(x, before)
            again = forward(before.clone(), *more, **named)
        except Exception as error:
            raise InputError(
                f"{where}: raised {type(error).__name__} for an input of shape {tuple(before.shape)}: "
                f"{first_line(error)}."
            ) from error
        _check_kind(where, y, before)
        if written:
            raise InputError(
                f"{where}: writes into its input, which other layers may need; compute a new tensor instead."
            )
        if before.isfinite().all() and not y.isfinite().all():
            kind = "NaN" if y.isnan().any() else "infinite values"
            raise InputError(
                f"{where}: returned {kind} for finite inputs; keep its arguments in their domain."
            )
        if not allow_random and not _same(y, again):
            raise InputError(
                f"{where}: gives different outputs for the same input in evaluation mode; draw random "
                "numbers and update its state only if self.training is true."
            )
        return y

    return checked


def _check_kind(where: str, y: object, x: Tensor) -> None:
    if not isinstance(y, Tensor) or y.shape != x.shape:
        got = f"one of {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
        raise InputError(f"{where}: expected an output of the input's shape {tuple(x.shape)}, got {got}.")
    if y.dtype != x.dtype:
        raise InputError(f"{where}: expected an output of the input's {x.dtype}, got {y.dtype}.")


def _same(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one.nan_to_num(), other.nan_to_num())
