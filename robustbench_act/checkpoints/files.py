"""Checkpoints on disk: found, read without running anything they hold, written whole or not at all."""

import glob
import hashlib
import os
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from robustbench_act.checkpoints.spec import METADATA_KEY, Spec, published_spec
from robustbench_act.datasets import Dataset
from robustbench_act.errors import InputError
from robustbench_act.models import NATIVE, build_model
from robustbench_act.storage import write_atomically

SUFFIXES = (".safetensors", ".pt", ".pth", ".pth.tar")
_WRAPPERS = ("state_dict", "model")  # keys under which training scripts put the weights
_SHOWN = 5  # keys named in a message


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A network in evaluation mode with what is known about it.

    Attributes
    ----------
    name
        Short name for tables.
    path
        Where it came from.
    spec
        See `Spec`.
    model
        In evaluation mode, on the CPU, no gradients.
    digest
        SHA-256 of the weights; equal for the same weights in any file format.
    problem
        Why it cannot be evaluated (weights that are not finite, named), or None.
    """

    name: str
    path: Path
    spec: Spec
    model: nn.Module
    digest: str
    problem: str | None = None


def find_checkpoints(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Return the checkpoint files that files, folders (searched with their subfolders) and globs name.

    Sorted within each argument, each file once. A name that leads to nothing is an InputError.
    """
    found: dict[Path, None] = {}
    for item in paths:
        for path in _expand(os.fspath(item)):
            found.setdefault(path, None)
    return list(found)


def _expand(item: str) -> list[Path]:
    path = Path(item)
    if path.is_file():
        if not path.name.endswith(SUFFIXES):
            raise InputError(f"{path}: expected a checkpoint ({', '.join(SUFFIXES)}).")
        return [path]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.name.endswith(SUFFIXES) and file.is_file())
        if not files:
            raise InputError(f"{path}: no checkpoint in this folder ({', '.join(SUFFIXES)}).")
        return files
    files = sorted(Path(name) for name in glob.glob(item, recursive=True))  # noqa: PTH207 - absolute patterns
    files = [file for file in files if file.name.endswith(SUFFIXES) and file.is_file()]
    if not files:
        raise InputError(f"{item}: expected a checkpoint file, a folder or a pattern; nothing is there.")
    return files


def load_checkpoints(
    paths: Iterable[Path], model: str | None = None, *, data: Dataset | None = None, **overrides: object
) -> list[Checkpoint]:
    """Load each of `paths` with a name that no other of them has: the file's stem, else its path."""
    files = list(paths)
    stems = [_stem(path) for path in files]
    names = [
        stem if stems.count(stem) == 1 else f"{path.parent.as_posix()}/{stem}"
        for stem, path in zip(stems, files, strict=True)
    ]
    return [
        load_checkpoint(path, model, name=name, data=data, **overrides)
        for path, name in zip(files, names, strict=True)
    ]


def load_checkpoint(
    path: str | os.PathLike[str],
    model: str | None = None,
    *,
    name: str | None = None,
    data: Dataset | None = None,
    **overrides: object,
) -> Checkpoint:
    """Load one checkpoint; nothing in the file is executed.

    Parameters
    ----------
    path
        A .safetensors file of ours (it carries its spec), or a .pt, .pth or .pth.tar file that holds a
        state_dict (bare, or under the key `state_dict` or `model`; `module.` prefixes are removed).
    model
        Architecture string. Needed where neither the file nor its place in the published layout tells it.
    name
        Name for tables; the file's stem where it is left out.
    data
        What it will be shown: tells classes and input size where nothing else does.
    overrides
        Fields of `Spec` that replace the file's: activation, mean, std, classes, ...

    Raises
    ------
    InputError
        For a missing or damaged file, a pickle with code in it, keys or shapes that do not match (listed).
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint file.")
    state, spec = _read_safetensors(path) if path.suffix == ".safetensors" else (_read_pickle(path), None)
    spec = _complete(spec or published_spec(path), path, data, architecture=model, **overrides)
    network = build_model(
        spec.architecture,
        activation=spec.activation,
        activation_parameters=spec.activation_parameters,
        classes=spec.classes,
        channels=spec.input_size[0],
    )
    _load_strictly(network, state, path)
    network.eval().requires_grad_(False)
    return Checkpoint(name or _stem(path), path, spec, network, weights_digest(state), _not_finite(state))


def save_checkpoint(path: Path, model: nn.Module, spec: Spec) -> None:
    """Write weights and spec as one safetensors file: whole or not at all."""
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in model.state_dict().items()}
    write_atomically(path, save(state, metadata={METADATA_KEY: spec.to_json()}))


def read_spec(path: Path) -> Spec:
    """Return the spec of a .safetensors file of ours without loading its weights."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a complete safetensors file ({error}).") from error
    if METADATA_KEY not in metadata:
        raise InputError(f"{path}: no spec of ours in the metadata; name the network with --model.")
    return Spec.from_json(metadata[METADATA_KEY], where=str(path))


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over names, dtypes, shapes and bytes of the tensors, in the order of their names."""
    digest = hashlib.sha256()
    for key in sorted(state):
        tensor = state[key].detach().cpu().contiguous()
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _stem(path: Path) -> str:
    name = path.name
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        name = name.removesuffix(suffix)
    return name


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], Spec | None]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a complete safetensors file ({error}).") from error
    spec = metadata.get(METADATA_KEY)
    return state, Spec.from_json(spec, where=str(path)) if spec is not None else None


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported" in str(error) or "GLOBAL" in str(error):
            raise InputError(
                f"{path}: refused, the pickle asks for more than tensors and could run code; "
                "save the state_dict alone, or convert it to safetensors."
            ) from error
        raise InputError(f"{path}: not a complete PyTorch checkpoint.") from error
    except Exception as error:  # a damaged file makes torch.load raise almost anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not a complete PyTorch checkpoint ({reason}).") from error
    for wrapper in _WRAPPERS:
        if isinstance(data, Mapping) and isinstance(data.get(wrapper), Mapping):
            data = data[wrapper]
    if (
        not isinstance(data, Mapping)
        or not data
        or not all(isinstance(item, Tensor) for item in data.values())
    ):
        raise InputError(f"{path}: expected a state_dict (names to tensors), got {_describe(data)}.")
    return {str(key).removeprefix("module."): value for key, value in data.items()}


def _describe(data: object) -> str:
    if isinstance(data, Mapping):
        return f"a mapping with the keys {_some([str(key) for key in data])}" if data else "an empty mapping"
    return type(data).__name__


def _complete(spec: Spec | None, path: Path, data: Dataset | None, **overrides: Any) -> Spec:
    if spec is not None:
        return spec.override(**overrides)
    given: dict[str, Any] = {"activation": NATIVE}
    given |= {} if data is None else {"classes": len(data.classes), "input_size": data.shape}
    given |= {key: value for key, value in overrides.items() if value is not None}
    needed = {
        "architecture": "--model",
        "classes": "--classes",
        "input_size": "--input-size",
        "mean": "--mean",
        "std": "--std",
    }
    missing = [flag for key, flag in needed.items() if key not in given]
    if missing:
        raise InputError(f"{path}: the file does not say what network it is; add {', '.join(missing)}.")
    return Spec(**given)


def _load_strictly(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    own = network.state_dict()
    missing, unexpected = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    shapes = [
        f"{key}: expected {tuple(own[key].shape)}, got {tuple(state[key].shape)}"
        for key in own.keys() & state.keys()
        if own[key].shape != state[key].shape
    ]
    parts = [
        f"{label} {_some(keys)}"
        for label, keys in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("other shapes", sorted(shapes)),
        )
        if keys
    ]
    if parts:
        raise InputError(f"{path}: the weights do not fit the network; {'; '.join(parts)}.")
    network.load_state_dict(state, strict=True)


def _some(keys: list[str]) -> str:
    rest = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return f"{len(keys)}: {', '.join(keys[:_SHOWN])}{rest}"


def _not_finite(state: Mapping[str, Tensor]) -> str | None:
    bad = [key for key, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    return f"weights that are not finite (NaN or infinite) in {_some(bad)}" if bad else None
