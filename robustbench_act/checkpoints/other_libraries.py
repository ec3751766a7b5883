"""Networks that another library wrote, given as SOURCE:PATH where a checkpoint stands."""

from collections.abc import Callable, Mapping
from functools import partial
from glob import has_magic
from pathlib import Path
from typing import Any

import torch
from torch import nn

from robustbench_act.activations.layers import declared_layers, watch_layers
from robustbench_act.checkpoints.checkpoint import Checkpoint
from robustbench_act.checkpoints.elsewhere import Elsewhere
from robustbench_act.checkpoints.onnx_file import SUFFIX, read_onnx
from robustbench_act.checkpoints.spec import Spec
from robustbench_act.checkpoints.spec_sources import complete_spec
from robustbench_act.checkpoints.transformers_folder import CONFIG, processor_of, read_folder
from robustbench_act.datasets import Dataset
from robustbench_act.errors import InputError
from robustbench_act.normalizations import normalization_of
from robustbench_act.paths import files_at, split_source, with_source
from robustbench_act.view import View

_READERS: Mapping[str, Callable[[Path, Path], Elsewhere]] = {"transformers": read_folder, "onnx": read_onnx}
_FIXED = {
    "model": "--model",
    "activation": "--activation",
    "normalization": "--norm",
    "weights": "--weights",
}
"""Options that say how a network is built, which its files say."""


def find_elsewhere(source: str, place: str) -> list[Path]:
    """Return SOURCE:PATH of each network of a source that a path names, or a pattern; sorted."""
    path = Path(place)
    several = has_magic(place) and not path.exists()
    if source == "transformers":
        found = [file.parent for file in files_at(path / CONFIG, (CONFIG,))] if several else [path]
    else:
        found = files_at(path, (SUFFIX,)) if several or path.is_dir() else [path]
    if not found:
        raise InputError(f"{with_source(source, place)}: expected networks; nothing is there.")
    return [Path(with_source(source, one)) for one in found]


def view_elsewhere(path: Path) -> View | None:
    """Return how a network of another library wants pictures shown; None if its files do not say."""
    source, place = split_source(path)
    if source != "transformers":
        return None
    found = processor_of(Path(place), path)
    if found.problem:
        raise InputError(f"{found.problem}.")
    return found.view


def load_elsewhere(path: Path, *, name: str, data: Dataset | None = None, **options: Any) -> Checkpoint:
    """Load a network of another library; `options` are those of `load_checkpoint`."""
    given = {key: value for key, value in options.items() if value is not None}
    for key, flag in _FIXED.items():
        if key in given:
            raise InputError(f"{path}: is built as its files say, which {flag} cannot change.")
    found = _read(path)
    if found.doubt and not {"mean", "std"} <= given.keys():
        raise InputError(f"{found.doubt}.")
    if found.open_size and "input_size" not in given:
        raise InputError(f"{path}: its input, {found.open_size}, leaves the size open; add --input-size.")
    _check_class_order(found, data, path)
    told = {**found.facts, "architecture": found.architecture}
    spec, sources = complete_spec(None, path, data, told=told, **given)
    watch_layers(found.network, spec.layers)
    checkpoint = Checkpoint(
        name=name,
        path=path,
        spec=spec,
        load=partial(_read_again, path, spec, found.digest),
        digest=found.digest,
        size=found.size,
        problem=found.problem,
        notes=(*found.notes, *sources),
        normalization=normalization_of(found.network) if any(True for _ in found.network.children()) else "",
        warnings=(found.doubt,) if found.doubt else (),
        layers=declared_layers(found.network),
    )
    checkpoint.hold(found.network)
    return checkpoint


def _read(path: Path) -> Elsewhere:
    source, place = split_source(path)
    with torch.inference_mode(False):
        return _READERS[source](Path(place), path)


def _read_again(path: Path, spec: Spec, digest: str) -> nn.Module:
    found = _read(path)
    if found.digest != digest:
        raise InputError(f"{path}: the network has changed since it was first read.")
    watch_layers(found.network, spec.layers)
    return found.network


def _check_class_order(found: Elsewhere, data: Dataset | None, path: Path) -> None:
    """Raise an InputError if a network and a data set name the same classes in different orders."""
    names = found.class_names
    if data is None or data.labels is None or not names or not set(data.classes) <= set(names):
        return
    if names != tuple(data.classes):
        raise InputError(
            f"{path}: names the classes of {data.name} in a different order, or more of them: pass "
            f"--class-order {found.names_in}."
        )
