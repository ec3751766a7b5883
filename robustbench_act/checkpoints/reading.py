"""From a file to named tensors, by documented rules; nothing in a file is executed."""

import json
import pickle
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from robustbench_act.checkpoints.spec import METADATA_KEY, Spec
from robustbench_act.checkpoints.stand_ins import STAND_INS
from robustbench_act.errors import InputError
from robustbench_act.file_kinds import PICKLE, SAFETENSORS, TORCH, ZIP, kind_of, why_unreadable
from robustbench_act.texts import encodable
from robustbench_act.zip_guard import member_names

WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
"""Keys under which training scripts put the weights, in the order in which they are looked for."""

EMA_WRAPPERS = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
"""Keys of averaged weights: used if there are no others, or on request."""

INDEX_SUFFIX = ".safetensors.index.json"
"""End of the name of a file that lists the shards of a checkpoint, with the tensors in each."""

_SHARD = re.compile(r"(?P<name>.+)-\d{5}-of-\d{5}\.safetensors")
_EXTRA = "_extra_state"  # the name under which get_extra_state of a module stores anything
_KINDS = (TORCH, PICKLE, ZIP)
_DEPTH = 3  # wrappers in wrappers
_SHOWN = 5  # keys named in a message

_Taken = TypeVar("_Taken")


@dataclass(frozen=True)
class Weights:
    """What a file holds of a network.

    Attributes
    ----------
    tensors
        By their names; plain data under names that end in `_extra_state`.
    versions
        Versions of the modules that wrote the tensors, as `load_state_dict` takes them in `_metadata`; None
        if the file does not say.
    spec
        The spec, if the file is one of ours.
    notes
        How the tensors were found.
    """

    tensors: Mapping[str, Any]
    versions: Mapping[str, Any] | None = None
    spec: Spec | None = None
    notes: tuple[str, ...] = ()

    def under(self, prefix: str) -> "Weights":
        """Return those whose names begin with a prefix that ends in a dot, without it."""

        def cut(items: Mapping[str, Any]) -> dict[str, Any]:
            return {key.removeprefix(prefix): item for key, item in items.items() if key.startswith(prefix)}

        versions = self.versions
        if versions is not None:
            top = {"": versions[prefix[:-1]]} if prefix[:-1] in versions else {}
            versions = top | cut(versions)
        return replace(self, tensors=cut(self.tensors), versions=versions)


def read_weights(path: Path, weights: str | None = None) -> Weights:
    """Return the weights in a file; nothing in it is executed.

    Parameters
    ----------
    weights
        The key of the weights, or what their names begin with; by default the first key found of WRAPPERS,
        then of EMA_WRAPPERS, and every name.
    """
    if path.name.endswith(INDEX_SUFFIX):
        found = Weights(_read_shards(path))
    elif path.suffix == ".safetensors":
        tensors, spec = _opened(path, _all_tensors)
        found = Weights(tensors, spec=spec)
    else:
        return _read_torch(path, weights)
    return found if weights is None else _part(found, path, weights)


def whole(path: Path) -> Path:
    """Return the index of a shard of a checkpoint, if it is next to it; any other path as it is."""
    match = _SHARD.fullmatch(path.name)
    index = path.with_name(f"{match['name']}{INDEX_SUFFIX}") if match else path
    return index if index.is_file() else path


def _all_tensors(file: Any) -> dict[str, Tensor]:
    return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


def _read_shards(index: Path) -> dict[str, Tensor]:
    """Return the tensors of all shards; an InputError if they differ from the names in the index."""
    try:
        listed = json.loads(index.read_bytes())["weight_map"]
        names = {str(key): str(name) for key, name in listed.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        reason = why_unreadable(index, error)
        raise InputError(
            f"{index}: expected JSON with the shard of each tensor in weight_map ({reason})."
        ) from error
    found: dict[str, Tensor] = {}
    for name in dict.fromkeys(names.values()):
        if not name.endswith(".safetensors") or Path(name).name != name or "\\" in name:
            raise InputError(f"{index}: expected the name of a .safetensors file next to it, got {name!r}.")
        tensors, _ = _opened(index.with_name(name), _all_tensors)
        wanted = {key for key, shard in names.items() if shard == name}
        if differing := sorted(wanted ^ tensors.keys()):
            raise InputError(
                f"{index}: does not list the tensors of {name}; they differ in {some(differing)}."
            )
        found |= tensors
    return found


def stored_spec(path: Path) -> Spec | None:
    """Return the spec of a .safetensors file without loading its weights; None if it is not ours."""
    return _opened(path, lambda _: None)[1]


def _opened(path: Path, take: Callable[[Any], _Taken]) -> tuple[_Taken, Spec | None]:
    try:
        with _in_utf8(path) as name, safe_open(name, framework="pt") as file:
            spec, taken = (file.metadata() or {}).get(METADATA_KEY), take(file)
    except (SafetensorError, OSError) as error:
        reason = why_unreadable(path, error, SAFETENSORS)
        raise InputError(f"{path}: not a complete safetensors file ({reason}).") from error
    return taken, None if spec is None else Spec.from_json(spec, where=str(path))


@contextmanager
def _in_utf8(path: Path) -> Iterator[str]:
    """Yield a path that the safetensors library takes: that of the opened file if its own is not UTF-8."""
    if encodable(str(path)) == str(path):
        yield str(path)
    else:
        with path.open("rb") as file:
            yield f"/dev/fd/{file.fileno()}"


def _read_torch(path: Path, weights: str | None) -> Weights:
    """Return the state_dict of a file that torch.save wrote.

    PyTorch's unpickler of plain tensors reads it (`weights_only`). Scripts' options, NumPy's numbers and
    arrays, paths and defaultdicts next to the weights become stand-ins of our own, which are empty.

    An InputError for a damaged file, code in a pickle, a TorchScript or torch.export file, or no state_dict.
    """
    _refuse_others(path)
    try:
        with torch.serialization.safe_globals(STAND_INS), warnings.catch_warnings():
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


def _unwrapped(data: Any, path: Path, weights: str | None) -> Weights:
    notes: list[str] = []
    file, prefix = _items(data), weights
    if weights is not None and isinstance(file, dict) and isinstance(file.get(weights), dict):
        data, prefix = file[weights], None
        notes.append(f"weights under {weights!r}, as asked")
    items = _items(data)
    for _ in range(_DEPTH):
        if not isinstance(items, dict) or _is_state(items):
            break
        keys = [key for key in (*WRAPPERS, *EMA_WRAPPERS) if isinstance(items.get(key), dict)]
        if not keys:
            break
        beside = [key for key in keys[1:] if key in EMA_WRAPPERS]
        notes.append(f"weights under {keys[0]!r}" + (f", not {beside[0]!r}" if beside else ""))
        data = items[keys[0]]
        items = _items(data)
    if not _is_state(items):
        raise InputError(f"{path}: expected a state_dict (names to tensors), got {_describe(items)}.")
    versions = getattr(data, "_metadata", None)
    if not isinstance(versions, dict) or not all(isinstance(key, str) for key in versions):
        versions = None
    found = Weights({str(key): item for key, item in items.items()}, versions, notes=tuple(notes))
    return found if prefix is None else _part(found, path, prefix, file)


def _items(data: Any) -> Any:
    """Return a dictionary as a plain one: attributes from a file may hide the methods of an OrderedDict."""
    return dict(dict.items(data)) if isinstance(data, dict) else data


def _part(found: Weights, path: Path, weights: str, whole_file: object = None) -> Weights:
    """Return the weights whose names begin with what `--weights` says; an InputError if no name does."""
    prefix = f"{weights.removesuffix('.')}."
    part = found.under(prefix)
    if not part.tensors:
        raise InputError(
            f"{path}: expected weights under the key {weights!r}, or names that begin with {prefix!r}; got "
            f"{_describe(whole_file or found.tensors)}."
        )
    left = sorted(key for key in found.tensors if not key.startswith(prefix))
    rest = (f"left out {some(left)}",) if left else ()
    return replace(part, notes=(*part.notes, f"weights whose names begin with {prefix!r}, as asked", *rest))


def _is_state(data: object) -> bool:
    return (
        isinstance(data, Mapping)
        and any(isinstance(item, Tensor) for item in data.values())
        and all(isinstance(item, Tensor) or str(key).endswith(_EXTRA) for key, item in data.items())
    )


def _describe(data: object) -> str:
    if isinstance(data, Mapping):
        return f"a mapping with the keys {some([str(key) for key in data])}" if data else "an empty mapping"
    return type(data).__name__


def some(keys: Iterable[str]) -> str:
    """Return how many keys there are, and the first of them."""
    named = list(keys)
    rest = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    return f"{len(named)}: {', '.join(named[:_SHOWN])}{rest}"
