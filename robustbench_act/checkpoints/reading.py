"""From a file to named tensors, by documented rules; nothing in a file is executed."""

import argparse
import pickle
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from robustbench_act.checkpoints.spec import METADATA_KEY, Spec
from robustbench_act.errors import InputError
from robustbench_act.file_kinds import PICKLE, SAFETENSORS, TORCH, ZIP, kind_of, why_unreadable
from robustbench_act.zip_guard import member_names

WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
"""Keys under which training scripts put the weights, in the order in which they are looked for."""

EMA_WRAPPERS = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
"""Keys of averaged weights: used if there are no others, or on request."""

PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.")
"""Put before every name by DataParallel, torch.compile, Lightning; removed if the network has none."""

BESIDE = ("n_averaged",)
"""Counters that averaging keeps next to the weights; left out if the network has none."""

_COUNTER = ".num_batches_tracked"  # older files of PyTorch have none; evaluation does not need it

_PLAIN = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_KINDS = (TORCH, PICKLE, ZIP)
_DEPTH = 3  # wrappers in wrappers
_SHOWN = 5  # keys named in a message

_Taken = TypeVar("_Taken")


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], Spec | None]:
    """Return the tensors of a .safetensors file, and its spec if it is one of ours."""
    return _opened(path, lambda file: {key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118


def stored_spec(path: Path) -> Spec | None:
    """Return the spec of a .safetensors file without loading its weights; None if it is not ours."""
    return _opened(path, lambda _: None)[1]


def _opened(path: Path, take: Callable[[Any], _Taken]) -> tuple[_Taken, Spec | None]:
    try:
        with safe_open(path, framework="pt") as file:
            spec, taken = (file.metadata() or {}).get(METADATA_KEY), take(file)
    except (SafetensorError, OSError) as error:
        reason = why_unreadable(path, error, SAFETENSORS)
        raise InputError(f"{path}: not a complete safetensors file ({reason}).") from error
    return taken, None if spec is None else Spec.from_json(spec, where=str(path))


def read_torch(path: Path, weights: str | None = None) -> tuple[dict[str, Tensor], list[str]]:
    """Return the state_dict of a file that torch.save wrote, and notes on how it was found.

    PyTorch's unpickler of plain tensors reads it (`weights_only`); in addition, the pickle may hold
    argparse.Namespace, a script's options: it has only attributes. `weights` is the key that holds the
    weights; by default the first found of WRAPPERS, then of EMA_WRAPPERS.

    An InputError for a damaged file, code in a pickle, a TorchScript or torch.export file, or no state_dict.
    """
    _refuse_others(path)
    try:
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about kinds of tensors that are refused below
            data = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported" in str(error) or "GLOBAL" in str(error):
            asked = re.search(r"GLOBAL ([\w.]+)", str(error))
            what = asked[1] if asked else "more than tensors"
            raise InputError(
                f"{path}: refused, the pickle asks for more than tensors and could run code ({what}); "
                "save the state_dict alone: torch.save(model.state_dict(), FILE)."
            ) from error
        raise InputError(f"{path}: not a complete PyTorch checkpoint.") from error
    except Exception as error:  # a damaged file makes torch.load raise almost anything
        reason = why_unreadable(path, error, *_KINDS)
        raise InputError(f"{path}: not a complete PyTorch checkpoint ({reason}).") from error
    return _unwrapped(data, path, weights)


def fit_names(state: Mapping[str, Tensor], network: nn.Module) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors under the network's own names, by PREFIXES and BESIDE, and notes on the changes."""
    own, notes, found = network.state_dict().keys(), [], dict(state)
    for key in BESIDE:
        if key in found and key not in own:
            del found[key]
            notes.append(f"{key!r} left out")
    while found and not found.keys() & own:
        prefix = next((prefix for prefix in PREFIXES if all(key.startswith(prefix) for key in found)), None)
        if prefix is None:
            break
        found = {key.removeprefix(prefix): value for key, value in found.items()}
        notes.append(f"prefix {prefix!r} removed")
    uncounted = [key for key in own if key.endswith(_COUNTER) and key not in found]
    if found and uncounted:
        found |= {key: network.state_dict()[key] for key in uncounted}
        notes.append(f"{_COUNTER[1:]!r} of {len(uncounted)} layers counted from 0")
    return found, notes


def load_strictly(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Load the tensors into the network; an InputError lists names or shapes that do not match."""
    own = network.state_dict()
    missing, unexpected = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    strange = [key for key, tensor in state.items() if not _is_plain(tensor)]
    if strange:
        raise InputError(f"{path}: expected plain tensors of numbers, got others in {_some(strange)}.")
    shapes = [
        f"{key}: expected {_kind(own[key])}, got {_kind(state[key])}"
        for key in own.keys() & state.keys()
        if own[key].shape != state[key].shape
        or (own[key].is_floating_point() and not state[key].is_floating_point())
    ]
    differing = {"missing": missing, "unexpected": unexpected, "other shapes": sorted(shapes)}
    parts = [f"{label} {_some(keys)}" for label, keys in differing.items() if keys]
    if parts:
        raise InputError(f"{path}: the weights do not fit the network; {'; '.join(parts)}.")
    content = OrderedDict(state)
    content._metadata = own._metadata  # type: ignore[attr-defined]
    network.load_state_dict(content, strict=True)


def _kind(tensor: Tensor) -> str:
    shape = str(tuple(tensor.shape))
    return shape if tensor.is_floating_point() else f"{tensor.dtype} {shape}"


def _is_plain(tensor: Tensor) -> bool:
    """Tell whether a tensor holds plain real numbers in memory: it is not sparse, quantised or complex."""
    strided = tensor.layout == torch.strided and not tensor.is_quantized and tensor.device.type == "cpu"
    return strided and not tensor.is_complex() and (tensor.dtype in _PLAIN or not tensor.is_floating_point())


def not_finite(state: Mapping[str, Tensor]) -> str | None:
    """Name the tensors that hold a NaN or an infinite value; None if there are none."""
    bad = [key for key, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    return f"weights that are not finite (NaN or infinite) in {_some(bad)}" if bad else None


def _refuse_others(path: Path) -> None:
    """Refuse files of other kinds, archives that are programs or that unpack to far more than their size."""
    found = kind_of(path)
    if found is not None and found not in _KINDS:
        raise InputError(f"{path}: not a PyTorch checkpoint ({found}).")
    try:
        names = [name.partition("/")[2] for name in member_names(path)]
    except ValueError as error:
        raise InputError(f"{path}: not a complete PyTorch checkpoint ({error}).") from error
    is_script = any(name.startswith("code/") for name in names)
    if is_script or {"archive_format", "serialized_exported_program.json"} & set(names):
        kind = "a TorchScript program" if is_script else "a program of torch.export"
        raise InputError(
            f"{path}: is {kind}: its loader executes pickles, and no layer in it can be watched; "
            "save the network's state_dict instead."
        )
    if names and "data.pkl" not in names:
        raise InputError(f"{path}: not a PyTorch checkpoint ({ZIP}).")


def _unwrapped(data: Any, path: Path, weights: str | None) -> tuple[dict[str, Tensor], list[str]]:
    notes: list[str] = []
    if weights is not None:
        if not isinstance(data, Mapping) or not isinstance(data.get(weights), Mapping):
            what = "the weights themselves" if _is_state(data) else _describe(data)
            raise InputError(f"{path}: expected weights under the key {weights!r}, got {what}.")
        data = data[weights]
        notes.append(f"weights under {weights!r}, as asked")
    for _ in range(_DEPTH):
        if not isinstance(data, Mapping) or _is_state(data):
            break
        keys = [key for key in (*WRAPPERS, *EMA_WRAPPERS) if isinstance(data.get(key), Mapping)]
        if not keys:
            break
        beside = [key for key in keys[1:] if key in EMA_WRAPPERS]
        notes.append(f"weights under {keys[0]!r}" + (f", not {beside[0]!r}" if beside else ""))
        data = data[keys[0]]
    if not _is_state(data):
        raise InputError(f"{path}: expected a state_dict (names to tensors), got {_describe(data)}.")
    return {str(key): value for key, value in data.items()}, notes


def _is_state(data: object) -> bool:
    return (
        isinstance(data, Mapping) and bool(data) and all(isinstance(item, Tensor) for item in data.values())
    )


def _describe(data: object) -> str:
    if isinstance(data, Mapping):
        return f"a mapping with the keys {_some([str(key) for key in data])}" if data else "an empty mapping"
    return type(data).__name__


def _some(keys: Iterable[str]) -> str:
    named = list(keys)
    rest = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    return f"{len(named)}: {', '.join(named[:_SHOWN])}{rest}"
