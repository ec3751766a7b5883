"""Networks in memory: copied, told apart, and described."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import fields
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from robustbench_act.activations import activation_layers, activation_name
from robustbench_act.activations.facts import NATIVE, SHEET, known_facts
from robustbench_act.activations.known import known_function
from robustbench_act.activations.registry import FACTORIES
from robustbench_act.checkpoints.spec import Spec
from robustbench_act.checkpoints.spec_sources import inputs_for, per_channel
from robustbench_act.datasets import Dataset
from robustbench_act.errors import InputError, first_line, unknown_name
from robustbench_act.models import answer_entry, answer_rows
from robustbench_act.models.architecture import program_in
from robustbench_act.models.random_state import seeded
from robustbench_act.option_kinds import is_number
from robustbench_act.user_code import origin, source_digest

_SIZES = (2, 16, 1)  # images in the batches that a network is tried on
_BUILT = (
    "architecture",
    "activation",
    "activation_parameters",
    "activation_facts",
    "normalization",
    "labels",
)
"""Fields of a spec that say how a network is built, which one in memory is already."""

_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def own_copy(module: object, name: str) -> nn.Module:
    """Return a copy of a network on the CPU, which shares nothing that changes with it; out of wrappers.

    Raises InputError for what is not a network in memory or cannot be copied.
    """
    module = unwrapped(module)
    if not isinstance(module, nn.Module):
        raise InputError(f"{name}: expected a torch.nn.Module, got {type(module).__name__}.")
    if (program := program_in(module)) is not None:
        raise InputError(f"{name}: is {program}.")
    if any(is_lazy(own) for own in (*module.parameters(), *module.buffers())):
        raise InputError(f"{name}: has lazy layers without weights; run it once, or load its weights.")
    # What a forward pass left in attributes belongs to a graph, which PyTorch does not copy.
    left = (own for part in module.modules() for own in vars(part).values() if isinstance(own, Tensor))
    memo: dict[int, Any] = {id(own): own.detach().cpu().clone() for own in left if not own.is_leaf}
    try:
        with torch.inference_mode(False):
            return deepcopy(module, memo).cpu()
    except Exception as error:  # it is the user's code
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise InputError(f"{name}: cannot be copied ({reason}); give a file of its weights.") from error


def unwrapped(module: object) -> object:
    """Return the network within DataParallel or DistributedDataParallel; anything else as it is."""
    while isinstance(module, _WRAPPERS):
        module = module.module
    return module


def tensors_of(network: nn.Module) -> dict[str, Tensor]:
    """Return the parameters and buffers of a network, those that its state_dict leaves out too."""
    state = {key: item for key, item in network.state_dict().items() if isinstance(item, Tensor)}
    return {**dict(network.named_buffers()), **state}


def structure(network: nn.Module) -> str:
    """Return what a network is but for its tensors: class and plain settings of its modules, and their code.

    >>> print(structure(nn.Sequential(nn.LeakyReLU(0.1))))
     torch.nn.modules.container:Sequential {}
    0 torch.nn.modules.activation:LeakyReLU {'inplace': False, 'negative_slope': 0.1}
    """
    parts = [f"{path} {origin(type(part))} {_settings(part)}" for path, part in network.named_modules()]
    kinds = {type(part) for part in network.modules()}
    code = [f"{origin(kind)} {digest}" for kind in kinds if (digest := source_digest(kind))]
    return "\n".join([*parts, *sorted(code)])


def _settings(module: nn.Module) -> dict[str, Any]:
    return {
        name: value
        for name, value in sorted(vars(module).items())
        if name != "training" and not name.startswith("_") and _is_plain(value)
    }


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def activation_in(network: nn.Module) -> str:
    """Return the activation of a network as tables name it; "native" if it has none or several.

    An unregistered class has its own name.

    >>> activation_in(nn.Sequential(nn.Linear(2, 2), nn.ELU(0.5))), activation_in(nn.Linear(2, 2))
    ('elu(alpha=0.5)', 'native')
    >>> activation_in(nn.ReLU6()), activation_in(nn.GELU(approximate="tanh"))
    ('relu6', 'gelu_tanh')
    """
    found = {_name_of(layer) for _, layer in activation_layers(network)}
    return found.pop() if len(found) == 1 else NATIVE


def _name_of(layer: nn.Module) -> str:
    name = next((name for name, factory in FACTORIES.items() if factory is type(layer)), None)
    if name is None:
        return known_function(layer) or type(layer).__name__
    if name == "gelu" and getattr(layer, "approximate", "none") != "none":
        name = "gelu_tanh"
    facts = SHEET[name]
    told = {key: item for key, item in _settings(layer).items() if facts.origin or key in facts.parameters}
    return activation_name(name, {key: item for key, item in told.items() if is_number(item)})


def describe(
    module: nn.Module,
    network: nn.Module,
    name: str,
    *,
    data: Dataset | None,
    mean: float | Iterable[float] | None,
    std: float | Iterable[float] | None,
    labels: Mapping[str, str],
    **given: Any,
) -> Spec:
    """Return the spec of a network in memory; `network` is the copy of `module`.

    `given` are other fields of `Spec`, None if not set. The input size is that of the data; the number of
    classes that of the data, else the network's.
    """
    given = {key: value for key, value in given.items() if value is not None}
    known = [item.name for item in fields(Spec) if item.name not in _BUILT]
    if unknown := next((key for key in given if key not in known), None):
        raise unknown_name("field of a spec", unknown, known)
    if mean is None or std is None:
        raise InputError(f"{name}: {_missing(mean, std, data)}")
    size = given.pop("input_size", None)
    if size is None:
        if data is None:
            raise InputError(f"{name}: pass input_size=(C, H, W), the size of the images that it takes.")
        size = inputs_for(data.shape, {"mean": mean if isinstance(std, Real) else std})
    count = given.pop("classes", None)
    if count is None and data is not None and not data.open_ended:
        count = data.class_count
    classes = _count_classes(network, apart_from=module, name=name, size=tuple(size), known=count)
    facts = known_facts(labels.get("activation", "").partition("(")[0])
    own: dict[str, Any] = {
        "architecture": origin(type(module)),
        "activation": NATIVE,
        "classes": classes,
        "input_size": tuple(map(int, size)),
        "labels": labels,
        "activation_facts": {} if facts is None else facts.to_record(),
    }
    if "training_seed" in given:
        given["training_seed"] = int(given["training_seed"])  # NumPy's too
    try:
        return Spec(**own, **per_channel({"mean": mean, "std": std}, size), **given)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def _missing(mean: object, std: object, data: Dataset | None) -> str:
    names = " and ".join(name for name, own in (("mean", mean), ("std", std)) if own is None)
    text = f"pass {names}, on the [0, 1] scale, as it was trained"
    if data is None:
        return f"{text}: mean=0.1307, or a number for each channel."
    usual = ", ".join(
        f"{name}=[{', '.join(f'{value:g}' for value in own)}]"
        for name, own in (("mean", data.mean), ("std", data.std))
    )
    return f"{text}; the usual ones of {data.name} are {usual}."


def _count_classes(
    network: nn.Module, *, apart_from: nn.Module, name: str, size: tuple[int, int, int], known: int | None
) -> int:
    """Return the number of classes, if it is not known that of the network's answer to black images.

    The pass also tells whether the copy is one: no part of the module that it was copied from may run.
    """
    reason, columns = "", 0
    calls = _Calls(apart_from)
    with calls, seeded(0, torch.device("cpu")), torch.inference_mode():
        for images in _SIZES:
            try:
                output = network(torch.zeros(images, *size))
                columns = answer_rows(output, images, answer_entry(output, images, known)).shape[1]
            except Exception as error:  # it is the user's code: the look before a run says more
                reason = reason or f"{type(error).__name__}: {first_line(error)}"
            else:
                reason = ""
                break
    if calls.seen:
        raise InputError(
            f"{name}: its copy calls the module that it was copied from: a function that it holds refers to "
            "that module. Let the function take the module as an argument, or make it a method."
        )
    if known is not None:
        return int(known)
    if reason:
        raise InputError(f"{name}: fails on images of {size} ({reason}); pass classes=, the number of them.")
    return max(columns, 2)  # one column is the logit of the second of two classes


class _Calls:
    """Context manager that notices calls of a module and its parts, before they do anything."""

    def __init__(self, module: nn.Module) -> None:
        self._module, self.seen = module, False

    def _see(self, *_: object) -> None:
        self.seen = True
        raise RuntimeError("called")

    def __enter__(self) -> None:
        self._hooks = [part.register_forward_pre_hook(self._see) for part in self._module.modules()]

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()
