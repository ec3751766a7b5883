"""From named tensors to a network: names are changed by documented rules, then its load_state_dict judges."""

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from robustbench_act.checkpoints.reading import Weights, some
from robustbench_act.errors import InputError, first_line

PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.")
"""Put before every name by DataParallel, torch.compile, Lightning; removed if the network has none."""

BESIDE = ("n_averaged",)
"""Counters that averaging keeps next to the weights; left out if the network has none."""

_FIRST_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
_COUNTER = ".num_batches_tracked"  # older files of PyTorch have none; evaluation does not need it
_PLAIN = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_NAMES = re.compile(r"(Missing|Unexpected) key\(s\) in state_dict: (.*)")
_SIZES = re.compile(r"size mismatch for (.*): .* torch.Size\((.*)\) from .* torch.Size\((.*)\)")


def fit(network: nn.Module, weights: Weights, path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """Load the weights into the network; return them by its names, and how names were changed.

    The network's load_state_dict judges, strictly; an InputError lists what it reports. It gets the names as
    the rules change them, else with more of their prefixes; and the versions of modules in the file. If a
    file has none, it gets none, as in PyTorch, else the network's own; ours are written with those.
    """
    strange = [key for key, item in weights.tensors.items() if not _is_plain(item)]
    if strange:
        raise InputError(f"{path}: expected plain tensors of numbers, got others in {some(strange)}.")
    own: dict[str, Any] = network.state_dict()
    present: Mapping[str, Any] = getattr(own, "_metadata", {})
    problems = []
    for named, notes in _namings(weights, own):
        foreign = [None, present] if named.versions is None else [named.versions]
        for versions in foreign if weights.spec is None else [present]:
            problem, said = _load(network, own, named.tensors, versions)
            if not problem:
                return _checked(network, named.tensors, path), [*notes, *said]
        problems.append(problem)
    raise InputError(
        f"{path}: the weights do not fit the network; {problems[0]}{_hint(own, weights.tensors)}."
    )


def _namings(weights: Weights, own: Mapping[str, Any]) -> Iterator[tuple[Weights, list[str]]]:
    """Yield the weights by the names that the network may know, and notes on the changes."""
    notes = [f"{key!r} left out" for key in BESIDE if key in weights.tensors and key not in own]
    tensors = {key: item for key, item in weights.tensors.items() if key in own or key not in BESIDE}
    stages = [(replace(weights, tensors=tensors), notes)]
    while found := stages[-1][0].tensors:
        prefix = next((one for one in PREFIXES if all(key.startswith(one) for key in found)), None)
        if prefix is None or found.keys() & own.keys():
            break
        stages.append((stages[-1][0].under(prefix), [*stages[-1][1], f"prefix {prefix!r} removed"]))
    for stage, said in reversed(stages):  # a hook may translate names that look like prefixed ones
        completed, changes = _completed(stage.tensors, own)
        yield replace(stage, tensors=completed), [*said, *changes]


def _completed(tensors: Mapping[str, Any], own: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return tensors with the names that PyTorch's tools change or leave out, and notes on them."""
    found, notes = dict(tensors), []
    old = {key: new for key in found if key not in own and (new := _FIRST_DENSENET.sub(r"\1\2.", key)) in own}
    if old:
        found = {old.get(key, key): item for key, item in found.items()}
        notes.append(f"{len(old)} names of torchvision's first DenseNet files changed")
    layers = {key.rpartition(".")[0] for key in found}
    uncounted = [
        key
        for key in own
        if key.endswith(_COUNTER) and key not in found and key.removesuffix(_COUNTER) in layers
    ]
    if uncounted:
        found |= {key: own[key] for key in uncounted}
        notes.append(f"{_COUNTER[1:]!r} of {len(uncounted)} layers counted from 0")
    for group in _tied(own):
        stored = next((key for key in group if key in found), None)
        shared = [] if stored is None else [key for key in group if key not in found]
        if stored is not None and shared:
            found |= dict.fromkeys(shared, found[stored])
            notes.append(f"{stored!r} also read as {some(shared)}")
    return found, notes


def _tied(own: Mapping[str, Any]) -> list[list[str]]:
    """Return groups of names under which a network has one and the same tensor."""
    groups: dict[object, list[str]] = {}
    for key, item in own.items():
        if not isinstance(item, Tensor):
            continue
        if is_lazy(item):
            groups.setdefault(id(item), []).append(key)
        elif item.layout == torch.strided and item.numel() and item.device.type != "meta":
            place = item.data_ptr(), item.dtype, item.shape, item.stride()
            groups.setdefault(place, []).append(key)
    return [group for group in groups.values() if len(group) > 1]


def _load(
    network: nn.Module, own: Mapping[str, Any], tensors: Mapping[str, Any], versions: Mapping[str, Any] | None
) -> tuple[str, list[str]]:
    """Let the network load the tensors; return the problem, or "", and notes on what it passed over."""
    content = OrderedDict(tensors)
    if versions is not None:
        content._metadata = versions  # type: ignore[attr-defined]
    before = {
        key: (tensor, tensor._version)
        for key, tensor in _learned(network).items()
        if key in own and not is_lazy(tensor)
    }
    try:
        report = network.load_state_dict(content)
    except Exception as error:  # a network's own hooks may raise anything
        return _reported(error), []
    now = _learned(network)
    untouched = [
        key for key, (old, version) in before.items() if now.get(key) is old and old._version == version
    ]
    if untouched:
        return f"its load_state_dict left as built {some(untouched)}", []
    passed_over = list(getattr(report, "unexpected_keys", []))
    return "", [f"its load_state_dict passed over {some(passed_over)}"] if passed_over else []


def _learned(network: nn.Module) -> dict[str, Tensor]:
    """Return parameters and buffers of a network; buffers of whole numbers are indices and counters."""
    buffers = {key: buffer for key, buffer in network.named_buffers() if buffer.is_floating_point()}
    return {**dict(network.named_parameters()), **buffers}


def _reported(error: Exception) -> str:
    """Return the report of load_state_dict in one line, names and shapes cut after a few."""
    if not (isinstance(error, RuntimeError) and str(error).startswith("Error(s) in loading")):
        return f"its load_state_dict raised {type(error).__name__}: {first_line(error)}"
    names: dict[str, list[str]] = {"missing": [], "unexpected": [], "other shapes": []}
    rest = []
    for line in str(error).splitlines()[1:]:
        if listed := _NAMES.search(line):
            names[listed[1].lower()] = sorted(re.findall(r'"([^"]*)"', listed[2]))
        elif sizes := _SIZES.search(line):
            got, expected = (str(tuple(map(int, re.findall(r"\d+", text)))) for text in sizes.groups()[1:])
            names["other shapes"].append(f"{sizes[1]}: expected {expected}, got {got}")
        elif line.strip():
            rest.append(line.strip().rstrip("."))
    return "; ".join([*(f"{label} {some(keys)}" for label, keys in names.items() if keys), *rest[:2]])


def _hint(own: Mapping[str, Any], tensors: Mapping[str, Any]) -> str:
    """Name the parts of a file that hold every tensor of the network, or return ""."""
    wanted = [key for key in own if not key.endswith(_COUNTER)]
    before = [key.removesuffix(wanted[0]) for key in tensors if wanted and key.endswith(f".{wanted[0]}")]
    parts = [part for part in before if all(part + key in tensors for key in wanted)]
    if not parts:
        return ""
    shown = ", ".join(repr(part) for part in parts[:3])
    return f"; its names are there behind {shown}: pass --weights {parts[0][:-1]}"


def _checked(network: nn.Module, tensors: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    """Return the network's tensors, those of the file if the names are equal; refuse what loads wrongly."""
    now = {key: item for key, item in network.state_dict().items() if isinstance(item, Tensor)}
    stored = {key: item for key, item in tensors.items() if isinstance(item, Tensor)}
    whole = [
        f"{key}: expected {tuple(now[key].shape)}, got {item.dtype} {tuple(item.shape)}"
        for key, item in stored.items()
        if key in now and now[key].is_floating_point() and not item.is_floating_point()
    ]
    if whole:
        raise InputError(f"{path}: the weights do not fit the network; other kinds {some(whole)}.")
    for first, *others in _tied(now):
        for other in others:
            if {first, other} <= stored.keys() and not _equal(stored[first], stored[other]):
                raise InputError(
                    f"{path}: {first} and {other} differ in the file, but are one tensor in the network."
                )
    return stored if stored.keys() == now.keys() else now


def _equal(one: Tensor, other: Tensor) -> bool:
    return one is other or torch.equal(one.nan_to_num(), other.nan_to_num())


def _is_plain(item: object) -> bool:
    """Tell whether a tensor holds plain real numbers in memory: it is not sparse, quantised or complex."""
    if not isinstance(item, Tensor):
        return True  # an extra state
    strided = item.layout == torch.strided and not item.is_quantized and item.device.type == "cpu"
    return strided and not item.is_complex() and (item.dtype in _PLAIN or not item.is_floating_point())


def not_finite(state: Mapping[str, Tensor]) -> str | None:
    """Name the tensors that hold a NaN or an infinite value, or return None if all are finite."""
    bad = [key for key, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    return f"weights that are not finite (NaN or infinite) in {some(bad)}" if bad else None
