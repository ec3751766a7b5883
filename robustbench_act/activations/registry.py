"""The registry of activations: the module class behind each name. `facts` holds the rest, without torch."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from torch import nn

from robustbench_act.activations.adaptive import SMU, AconC, DyT, FReLU, MetaAcon, Snake, Swish
from robustbench_act.activations.anact import NReLU, NSwish
from robustbench_act.activations.facts import (
    NATIVE,
    SHEET,
    ActivationFacts,
    list_activations,
)
from robustbench_act.activations.layeract import LAHardSiLU, LASiLU
from robustbench_act.activations.layers import declare_activation
from robustbench_act.activations.literature import Logish, Serf, TanhExp
from robustbench_act.activations.names import parse_activation
from robustbench_act.errors import InputError, unknown_name
from robustbench_act.option_kinds import is_number, is_parameter
from robustbench_act.user_code import (
    call_factory,
    find_factory,
    find_named,
    is_factory,
    load_plugin,
    origin,
    plugins,
    source_digest,
)

Factory: TypeAlias = Callable[..., nn.Module]
"""A module class, or a function that returns a fresh module."""

FACTORIES: dict[str, Factory] = {
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
    "acon_c": AconC,
    "meta_acon": MetaAcon,
    "frelu": FReLU,
    "dyt": DyT,
}
"""This package's are here and in `facts.ACTIVATIONS`; those of users come by `register_activation`."""

SIZES = ("channels", "num_parameters", "elements", "shape")
"""Names of constructor arguments that get the layer's sizes, see `register_activation`."""

F = TypeVar("F", bound=Factory)


def register_activation(
    factory: Any = None,
    /,
    *,
    name: str | None = None,
    label: str | None = None,
    formula: str = "",
    family: str = "other",
    source: str = "",
    colour: str = "",
) -> Any:
    """Class decorator: make an activation known under a name; also for functions that return a module.

    Everything then treats it as one of this package's: `get_activation`, `replace_activations`, training,
    probes, tables and reports. Files record the facts below and where the code is, never the code.

    A constructor argument called `channels` or `num_parameters` gets the number of channels of the layer
    (axis 1 of its input; the last one after an nn.Linear or nn.LayerNorm), `elements` the number of values of
    one image in it, `shape` their shape (without the batch), unless the user sets it.

    Parameters
    ----------
    factory
        An nn.Module class, or a function that returns a fresh module of one.
    name
        For command lines, tables and files; by default that of the class.
    label
        As people write it; by default the name.
    formula
        In one line; by default the first line of the docstring.
    family
        One of `facts.FAMILIES`, or one of your own: legends keep families together.
    source
        Where it was published.
    colour
        Colour of its line in figures, "#d55e00"; by default the report chooses one.

    Raises
    ------
    InputError
        If the name belongs to another activation, or cannot be one.

    Examples
    --------
    >>> import torch
    >>> @register_activation(name="gated_cube", label="Gated cube", formula="x^3 sigmoid(x)")
    ... class GatedCube(nn.Module):
    ...     def forward(self, x: torch.Tensor) -> torch.Tensor:
    ...         return x**3 * torch.sigmoid(x)
    >>> get_activation("gated_cube")
    GatedCube()
    >>> del FACTORIES["gated_cube"], SHEET["gated_cube"]
    """

    def register(made: F) -> F:
        if not hasattr(made, "__qualname__"):  # where it is defined could not be recorded
            kind = type(made).__name__
            raise InputError(f"Activation {name or made!r}: expected a class or a function, got a {kind}.")
        own_name = name or made.__name__
        facts = ActivationFacts(
            own_name,
            label or own_name,
            family,
            formula or inspect.cleandoc(made.__doc__ or "").partition("\n")[0],
            source,
            parameters=_defaults(made),
            colour=colour,
            origin=origin(made),
            digest=source_digest(made),
        )
        _add(made, facts)
        return made

    return register if factory is None else register(factory)


def _add(factory: Factory, facts: ActivationFacts) -> None:
    if not facts.name.isidentifier():
        raise InputError(
            f"Activation {facts.name!r} ({facts.origin}): expected a name of letters, digits and _; "
            "register it with name=..."
        )
    if facts.name == "all":
        raise InputError(f"Activation 'all' ({facts.origin}): train --activation all means every one.")
    known = SHEET.get(facts.name)
    if known is not None and known.origin != facts.origin:  # the same place: it was loaded again
        whose = f"{known.origin}" if known.origin else "one of this package"
        raise InputError(
            f"Activation {facts.name!r} ({facts.origin}): the name is that of {whose}; register it under "
            "another, with name=..."
        )
    for other in SHEET.values():
        taken = {other.name, other.label} & {facts.name, facts.label}
        if other.name != facts.name and taken:  # commands and tables would mean either
            raise InputError(
                f"Activation {facts.name!r} ({facts.origin}): {taken.pop()} is what {other.name} is called; "
                "register it with a different name=... and label=..."
            )
    if isinstance(factory, type):
        declare_activation(factory)
    FACTORIES[facts.name] = factory
    SHEET[facts.name] = facts


def _defaults(factory: Factory) -> Mapping[str, Any]:
    """Return the parameters of a factory that have a plain default, without sizes."""
    return MappingProxyType(
        {
            name: parameter.default
            for name, parameter in _signature(factory).items()
            if name not in SIZES and is_parameter(parameter.default)
        }
    )


def _signature(factory: Factory) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(factory).parameters
    except (TypeError, ValueError):  # a class written in C
        return {}


def resolve(activation: str | Factory) -> tuple[str, dict[str, Any]]:
    """Return the registered name, and the parameters, of an activation as people give it.

    Parameters
    ----------
    activation
        A name, package.module:Class, both also with parameters, as "la_silu(alpha=0.1)"; a class or a
        function. What is not registered yet is registered under its own name.

    Raises
    ------
    InputError
        On an unknown name, or a module or class that cannot be loaded.

    >>> resolve("la_silu(alpha=0.1)"), resolve(nn.SiLU)
    (('la_silu', {'alpha': 0.1}), ('silu', {}))
    """
    if not isinstance(activation, str):
        return _name_of(activation), {}
    name, parameters = parse_activation(activation)
    if is_factory(name):
        return _name_of(find_factory(name, what="Activation")), parameters
    if name != NATIVE:
        _factory(name)
    elif parameters:
        raise InputError(f"Activation {activation!r}: {NATIVE} takes no parameters.")
    return name, parameters


def _name_of(factory: Factory) -> str:
    for name, known in FACTORIES.items():
        if known is factory:
            return name
    register_activation(factory)
    return factory.__name__


def _factory(name: str) -> Factory:
    """Return the class or function behind a name; a plugin's is loaded now."""
    if name not in FACTORIES and name in plugins("activations"):
        found = load_plugin(plugins("activations")[name], what=f"Activation {name!r}")
        if name not in FACTORIES:  # it has not registered itself
            register_activation(found, name=name)
    if name not in FACTORIES:
        raise unknown_name("activation", name, list_activations())
    return FACTORIES[name]


def require(name: str, record: Mapping[str, Any], *, where: str, trusted: bool = False) -> tuple[str, ...]:
    """Make sure that the activation of a spec is registered; return how its code differs from the recorded.

    The code is loaded only if the user named its module (`import_modules`) or installed a plugin; `trusted`
    is for processes that this one starts. An InputError, which begins with `where`, says what to pass.
    """
    if name == NATIVE:
        return ()
    recorded = ActivationFacts.from_record(name, record)
    if recorded.origin and name not in SHEET and name not in plugins("activations"):
        found = find_named(recorded.origin, what=f"{where}: its activation {name}", trusted=trusted)
        if name not in SHEET:  # it has not registered itself
            kept = ("name", "label", "formula", "family", "source", "colour")
            register_activation(found, **{key: getattr(recorded, key) for key in kept})
    _factory(name)
    now = SHEET[name]
    if recorded.origin and recorded.digest and now.digest != recorded.digest:
        moved = "" if now.origin == recorded.origin else f", and is {now.origin}, not {recorded.origin}"
        return (f"the code of its activation {name} has changed since it was trained{moved}",)
    return ()


def sizes_of(activation: str | Factory, parameters: Mapping[str, object]) -> tuple[str, ...]:
    """Return those of `SIZES` that the constructor takes and the user has not set.

    >>> sizes_of("prelu", {}), sizes_of("prelu", {"num_parameters": 3})
    ((), ())
    """
    factory, facts, written = _known(activation)
    set_otherwise = {*(facts.parameters if facts else ()), *written, *parameters}
    return tuple(name for name in SIZES if name in _signature(factory) and name not in set_otherwise)


def get_activation(activation: str | Factory, /, **parameters: object) -> nn.Module:
    """Return a fresh activation module.

    Parameters
    ----------
    activation : str or callable
        One of `list_activations()`; package.module:Class; a class or a function that returns a module.
    **parameters
        Instead of the defaults that `activation_facts(name).parameters` lists.

    Raises
    ------
    InputError
        On an unknown name, a parameter that the activation does not take, or a value it cannot use.

    Examples
    --------
    >>> get_activation("la_silu", alpha=0.1), get_activation("la_silu(alpha=0.1)"), get_activation(nn.Tanh)
    (LASiLU(alpha=0.1), LASiLU(alpha=0.1), Tanh())
    """
    factory, facts, written = _known(activation)
    given = {**written, **parameters}
    what = f"Activation {facts.name if facts else getattr(factory, '__name__', factory)!r}"
    takes = _signature(factory)
    if facts is not None and not facts.origin:
        usual = {**facts.parameters, **{size: 1 for size in SIZES if size in takes}}
        for parameter, value in given.items():
            if parameter not in usual:
                accepted = ", ".join(usual) or "none"
                raise InputError(f"{what} takes no parameter {parameter!r}. It accepts: {accepted}.")
            _check_kind(f"{what}, parameter {parameter!r}", value, usual[parameter])
    for size in sizes_of(activation, given):
        if takes[size].default is inspect.Parameter.empty:
            raise InputError(
                f"{what} takes {size} of its layer: pass {size}=..., or let replace_activations find it."
            )
    made = call_factory(factory, given, what=what)
    if not isinstance(made, nn.Module):
        raise InputError(f"{what}: expected it to return a torch.nn.Module, got {type(made).__name__}.")
    if isinstance(made, nn.Sequential | nn.ModuleList | nn.ModuleDict):
        kind = type(made).__name__
        raise InputError(f"{what}: returned a {kind}, whose parts would count one by one; write a class.")
    declare_activation(type(made))
    return made


def _known(activation: str | Factory) -> tuple[Factory, ActivationFacts | None, dict[str, Any]]:
    """Return the class or function, its facts if it has a name, and the parameters in its name."""
    if not isinstance(activation, str):
        name = next((name for name, known in FACTORIES.items() if known is activation), None)
        return activation, SHEET[name] if name else None, {}
    name, written = resolve(activation)
    if name == NATIVE:
        raise unknown_name("activation", name, list_activations())
    return FACTORIES[name], SHEET[name], written


def _check_kind(where: str, value: object, default: object) -> None:
    """Raise unless `value` is a pair of numbers, a positive integer, a text or a number, as `default` is."""
    if isinstance(default, tuple):
        wanted = "two finite numbers"
        fits = isinstance(value, tuple | list) and len(value) == 2 and all(is_number(part) for part in value)
    elif isinstance(default, int):
        wanted = "a positive integer"
        fits = isinstance(value, int) and not isinstance(value, bool) and value > 0
    elif isinstance(default, str):
        wanted, fits = "a text", isinstance(value, str)
    else:
        wanted = "a finite number"
        fits = is_number(value)
    if not fits:
        raise InputError(f"{where}: expected {wanted}, got {value!r}.")
