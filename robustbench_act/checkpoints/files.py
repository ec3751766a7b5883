"""Checkpoints on disk: found, read without running code in them, written whole or not at all."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from robustbench_act.activations import activation_facts
from robustbench_act.activations.facts import NATIVE
from robustbench_act.activations.layers import declared_layers, watch_layers
from robustbench_act.activations.registry import require, resolve
from robustbench_act.atomic_files import write_atomically
from robustbench_act.checkpoints.checkpoint import Checkpoint, set_evaluation_mode, weights_digest
from robustbench_act.checkpoints.fitting import fit, not_finite
from robustbench_act.checkpoints.onnx_file import SUFFIX as ONNX
from robustbench_act.checkpoints.other_libraries import find_elsewhere, load_elsewhere
from robustbench_act.checkpoints.reading import INDEX_SUFFIX, Weights, read_weights, stored_spec, whole
from robustbench_act.checkpoints.spec import METADATA_KEY, Spec, published_spec
from robustbench_act.checkpoints.spec_sources import complete_spec
from robustbench_act.datasets import Dataset
from robustbench_act.errors import InputError
from robustbench_act.models import Architecture, build_model, native
from robustbench_act.normalizations import normalization_of
from robustbench_act.paths import expand, files_at, split_source
from robustbench_act.user_code import find_named, import_modules, is_factory

SUFFIXES = (".safetensors", INDEX_SUFFIX, ".pt", ".pth", ".pth.tar", ".ckpt")
_PROGRAM = ".pt2"  # of torch.export: opened so that it can be refused with the reason


def find_checkpoints(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Return the checkpoint files among the given files, in folders (with subfolders) and matching globs.

    Sorted within each argument, each file once; hidden files are left out (macOS's `._` files). An argument
    without a checkpoint is an InputError.
    """
    found: dict[Path, None] = {}
    for item in paths:
        try:
            found |= dict.fromkeys(_expand(os.fspath(item)))
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{item}: cannot be searched for checkpoints ({error}).") from error
    return list(found)


def _expand(item: str) -> list[Path]:
    path = expand(item)
    source, place = split_source(path)
    if source:
        return find_elsewhere(source, place)
    if path.is_file():
        if path.name.endswith(ONNX):
            raise InputError(f"{path}: give it as onnx:{path}.")
        if not path.name.endswith((*SUFFIXES, _PROGRAM)):
            raise InputError(f"{path}: expected a checkpoint ({', '.join(SUFFIXES)}).")
        return [whole(path)]
    files = {whole(file) for file in files_at(path, SUFFIXES)}
    if files:
        return sorted(files)
    if path.is_dir():
        raise InputError(f"{path}: no checkpoint in this folder ({', '.join(SUFFIXES)}).")
    raise InputError(f"{item}: expected a checkpoint file, a folder or a pattern; nothing is there.")


def unique_names(paths: Sequence[Path]) -> list[str]:
    """Return the stem of each file, preceded by as many of its folders as make it unique.

    >>> unique_names([Path("a/x/relu_1.pt"), Path("a/y/relu_1.pt"), Path("a/y/silu_1.pth.tar")])
    ['x/relu_1', 'y/relu_1', 'silu_1']
    """
    folders = [Path(split_source(path)[1]).parts[:-1] for path in paths]
    parts = [[_stem(path), *reversed(above)] for path, above in zip(paths, folders, strict=True)]
    names = []
    for own in parts:
        length = next(
            (size for size in range(1, len(own)) if sum(own[:size] == other[:size] for other in parts) == 1),
            len(own),
        )
        names.append("/".join(reversed(own[:length])))
    return names


def load_checkpoint(
    path: str | os.PathLike[str],
    model: str | None = None,
    *,
    name: str | None = None,
    data: Dataset | None = None,
    weights: str | None = None,
    imports: Iterable[str] = (),
    **overrides: Any,
) -> Checkpoint:
    """Load one checkpoint; nothing in the file is executed.

    Parameters
    ----------
    path
        A .safetensors file (ours carries its spec), the index of a sharded one, or a .pt, .pth, .pth.tar or
        .ckpt file that holds a state_dict: bare, or under a key that `checkpoints.reading` lists. The names
        may have prefixes that `checkpoints.fitting` lists. Or transformers:FOLDER, onnx:FILE.
    model
        Architecture string; needed unless the file or its place in the published layout tells it.
    name
        Name for tables; by default the file's stem.
    data
        The images it will be shown: supplies classes and input size if nothing else does.
    weights
        The key that holds the weights, or what their names begin with, if the file has several: e.g.
        "state_dict_ema" or "model.".
    imports
        Modules of yours to import first, as "mine.acts": the file may name activations and networks that
        they define.
    overrides
        Fields of `Spec` that replace the file's: activation, mean, std, classes, ...

    Raises
    ------
    InputError
        If the file is missing or damaged, a pickle holds code, or keys or shapes do not match (listed).
    """
    path = expand(path)
    import_modules(imports)
    if split_source(path)[0]:
        own = name or _stem(path)
        return load_elsewhere(path, name=own, data=data, model=model, weights=weights, **overrides)
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint file.")
    read = read_weights(path, weights)
    stored = read.spec
    if stored is not None and model is None:
        parsed = Architecture.parse(stored.architecture)
        if parsed.is_factory:  # a spec is data, and must run nothing
            find_named(f"{parsed.source}:{parsed.name}", what=f"{path}: its network")
    given = overrides.get("normalization")
    if stored is not None and given is None and is_factory(stored.normalization):
        find_named(stored.normalization, what=f"{path}: its normalisation")
    chosen = overrides.get("activation")
    if chosen is not None:
        activation, written = resolve(str(chosen))
        parameters: Any = overrides.get("activation_parameters") or {}
        overrides |= {"activation": activation, "activation_parameters": {**written, **parameters}}
    spec, sources = complete_spec(stored or published_spec(path), path, data, architecture=model, **overrides)
    changed = require(spec.activation, spec.activation_facts if chosen is None else {}, where=str(path))
    spec = replace(spec, activation_facts=activation_facts(spec.activation).to_record())
    with torch.inference_mode(False):
        network, fitted, renamed = _built(spec, read, path)
    watch_layers(network, spec.layers)
    digest = weights_digest(fitted)
    checkpoint = Checkpoint(
        name=name or _stem(path),
        path=path,
        spec=spec,
        load=partial(_read_again, path, weights, spec, digest),
        digest=digest,
        size=sum(tensor.numel() * tensor.element_size() for tensor in fitted.values()),
        problem=not_finite(fitted),
        notes=(*read.notes, *renamed, *sources, *changed),
        normalization=normalization_of(network) if spec.normalization == NATIVE else spec.normalization,
        warnings=changed,
        layers=declared_layers(network),
    )
    checkpoint.hold(network)
    return checkpoint


def _built(spec: Spec, weights: Weights, path: Path) -> tuple[nn.Module, dict[str, Tensor], list[str]]:
    """Return a spec's network with these weights, the weights by its names, and how they were fitted."""
    network = build_model(
        spec.architecture,
        activation=spec.activation,
        activation_parameters=spec.activation_parameters,
        normalization=spec.normalization,
        classes=spec.classes,
        input_size=spec.input_size,
    )
    fitted, notes = fit(network, weights, path)
    set_evaluation_mode(network, path)
    network.requires_grad_(False)
    return network, fitted, [*notes, *_as_published(network, spec, path)]


def _read_again(path: Path, weights: str | None, spec: Spec, digest: str) -> nn.Module:
    if not path.is_file():
        raise InputError(f"{path}: the checkpoint has gone since it was first read.")
    require(spec.activation, spec.activation_facts, where=str(path), trusted=True)  # in another process
    network, state, _ = _built(spec, read_weights(path, weights), path)
    if weights_digest(state) != digest:
        raise InputError(f"{path}: the weights have changed since they were first read.")
    return network


def _as_published(network: nn.Module, spec: Spec, path: Path) -> list[str]:
    """Set `transform_input` as torchvision does when it loads its own weights, and return a note of it."""
    known = native(spec.architecture, path)
    if known is None or not known.published or not hasattr(network, "transform_input"):
        return []
    setattr(network, "transform_input", True)  # noqa: B010 - its type is not declared
    return [f"transform_input on, as for {known.source}"]


def save_checkpoint(path: Path, model: nn.Module, spec: Spec) -> None:
    """Write weights and spec as one safetensors file: whole or not at all.

    Shared tensors are written once for each of their names. An InputError if `check_storable` raises one.
    """
    check_storable(model)
    state = {
        key: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for key, tensor in model.state_dict().items()
    }
    write_atomically(path, save(state, metadata={METADATA_KEY: spec.to_json()}))


def check_storable(model: nn.Module) -> None:
    """Raise an InputError if the state of a network holds anything but tensors."""
    for key, item in model.state_dict().items():
        if not isinstance(item, Tensor):
            raise InputError(
                f"{key} of {type(model).__name__}: expected a tensor, got {type(item).__name__}, which a "
                "safetensors file cannot hold; let get_extra_state return a tensor."
            )


def read_spec(path: Path) -> Spec:
    """Return the spec of one of our .safetensors files without loading its weights."""
    spec = stored_spec(path)
    if spec is None:
        raise InputError(f"{path}: no {METADATA_KEY} spec in the metadata; name the network with --model.")
    return spec


def _stem(path: Path) -> str:
    source, place = split_source(path)
    name = Path(place).absolute().name if source else path.name
    for suffix in sorted((*SUFFIXES, ONNX), key=len, reverse=True):
        name = name.removesuffix(suffix)
    return name
