"""The registry of activations: the module class behind each name. `facts` holds the rest, without torch."""

from collections.abc import Callable
from functools import partial

from torch import nn

from robustbench_act.activations.adaptive import SMU, Snake, Swish
from robustbench_act.activations.anact import NReLU, NSwish
from robustbench_act.activations.facts import activation_facts
from robustbench_act.activations.layeract import LAHardSiLU, LASiLU
from robustbench_act.activations.literature import Logish, Serf, TanhExp
from robustbench_act.errors import InputError, unknown_name
from robustbench_act.option_kinds import is_number

FACTORIES: dict[str, Callable[..., nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leakyrelu": nn.LeakyReLU,
    "prelu": nn.PReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "mish": nn.Mish,
    "silu": nn.SiLU,
    "hardsilu": nn.Hardswish,
    "la_silu": LASiLU,
    "la_hardsilu": LAHardSiLU,
    "nrelu": NReLU,
    "nswish": NSwish,
    "selu": nn.SELU,
    "celu": nn.CELU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "gelu_tanh": partial(nn.GELU, approximate="tanh"),
    "rrelu": nn.RReLU,
    "swish": Swish,
    "smu": SMU,
    "serf": Serf,
    "tanhexp": TanhExp,
    "logish": Logish,
    "snake": Snake,
}
"""Register an activation here and in `facts.ACTIVATIONS`."""


def get_activation(name: str, **parameters: object) -> nn.Module:
    """Return a fresh activation module by its registered name.

    Parameters
    ----------
    name : str
        One of `list_activations()`.
    **parameters
        Instead of the defaults that `activation_facts(name).parameters` lists.

    Raises
    ------
    InputError
        On an unknown name, a parameter that the activation does not take, or a value it cannot use.

    Examples
    --------
    >>> get_activation("la_silu", alpha=0.1)
    LASiLU(alpha=0.1)
    """
    if name not in FACTORIES:
        raise unknown_name("activation", name, FACTORIES)
    usual = activation_facts(name).parameters
    for parameter, value in parameters.items():
        if parameter not in usual:
            accepted = ", ".join(usual) or "none"
            raise InputError(f"Activation {name!r} takes no parameter {parameter!r}. It accepts: {accepted}.")
        _check_kind(f"Activation {name!r}, parameter {parameter!r}", value, usual[parameter])
    return FACTORIES[name](**parameters)


def _check_kind(where: str, value: object, default: object) -> None:
    """Raise unless `value` is a pair of numbers, a positive integer or a number, as `default` is."""
    if isinstance(default, tuple):
        wanted = "two finite numbers"
        fits = isinstance(value, tuple | list) and len(value) == 2 and all(is_number(part) for part in value)
    elif isinstance(default, int):
        wanted = "a positive integer"
        fits = isinstance(value, int) and not isinstance(value, bool) and value > 0
    else:
        wanted = "a finite number"
        fits = is_number(value)
    if not fits:
        raise InputError(f"{where}: expected {wanted}, got {value!r}.")
