"""Settings that a checkpoint's file lacks: from flags, the network's library, or the data, in that order."""

import re
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from types import MappingProxyType
from typing import Any

from robustbench_act.activations.facts import NATIVE
from robustbench_act.checkpoints.reading import stored_spec
from robustbench_act.checkpoints.spec import Spec, published_spec
from robustbench_act.datasets import Dataset
from robustbench_act.errors import InputError
from robustbench_act.models import Native, fixed_side, native
from robustbench_act.view import View

_NUMBERED = re.compile(r".*_(\d{1,9})(\.[a-z]+)*")  # NAME_3.pth.tar

_NEEDED = {
    "architecture": "--model",
    "classes": "--classes",
    "input_size": "--input-size",
    "mean": "--mean",
    "std": "--std",
}


def complete_spec(
    spec: Spec | None,
    path: Path,
    data: Dataset | None,
    *,
    told: Mapping[str, Any] = MappingProxyType({}),
    **given: Any,
) -> tuple[Spec, tuple[str, ...]]:
    """Return the whole spec of a checkpoint, and the source of its fields.

    `spec` is the file's own, or the one that the published layout spells out; `data` the images that the
    network will be shown; `told` the fields of `Spec` that files of another library tell; `given` those that
    the user set, None if not set. Without a spec, N is the training seed of a file NAME_N. If something is
    missing, an InputError names the flags that supply it.
    """
    given = {key: value for key, value in given.items() if value is not None}
    if spec is not None:
        own = spec.override(**per_channel(given, given.get("input_size", spec.input_size)))
        return own, _grouped(dict.fromkeys(given, "as given"))
    sources = dict.fromkeys(told, "as its files tell") | dict.fromkeys(given, "as given")
    if (numbered := _NUMBERED.fullmatch(path.name)) and "training_seed" not in given:
        given["training_seed"] = int(numbered[1])
        sources["training_seed"] = "as the file's name ends"
    classes = given.get("classes", None if data is None else data.class_count)
    known = None if told else _library(given.get("architecture"), path, classes)
    fields: dict[str, Any] = {"activation": NATIVE}
    if classes is not None:
        fields["classes"] = classes
    if known is not None:
        fields |= _settings(known)
        if data is None:
            fields["input_size"] = known.input_size
        sources = dict.fromkeys(("mean", "std"), f"as {known.source} has them") | sources
    fields |= {**told, **given}
    if "labels" in told:
        fields["labels"] = {**told["labels"], **given.get("labels", {})}
    if data is not None:
        fields.setdefault("input_size", inputs_for(data.shape, fields))
    _check_complete(fields, path)
    return Spec(**per_channel(fields, fields["input_size"])), _grouped(sources)


def _check_complete(fields: Mapping[str, Any], path: Path) -> None:
    """Raise an InputError that names the flags of fields that are missing."""
    missing = [flag for key, flag in _NEEDED.items() if key not in fields]
    if missing:
        flags = ", ".join(missing)
        beside = path.with_name("config.json").is_file() and "--model" in missing
        folder = f", or give transformers:{path.parent}" if beside else ""
        raise InputError(
            f"{path}: the file does not describe its network fully; add {flags} (or [spec] in a manifest)"
            f"{folder}."
        )


def per_channel(fields: Mapping[str, Any], size: Sequence[int]) -> dict[str, Any]:
    """Return fields of a spec with a mean and std for each channel of inputs (C, H, W), given as one number.

    >>> per_channel({"mean": 0.5, "std": [0.1, 0.2, 0.3], "classes": 10}, (3, 8, 8))
    {'mean': (0.5, 0.5, 0.5), 'std': (0.1, 0.2, 0.3), 'classes': 10}
    """
    given = {key: fields[key] for key in ("mean", "std") if key in fields}
    try:
        found = {
            key: (float(own),) * size[0] if isinstance(own, Real) else tuple(map(float, own))
            for key, own in given.items()
        }
    except (TypeError, ValueError) as error:
        raise InputError(f"Expected mean and std as a number, or one per channel, got {given}.") from error
    return {**fields, **found}


def _settings(known: Native) -> dict[str, Any]:
    """Return what a library's configuration says of how its network is fed."""
    view = known.view
    shown = {} if view is None else {"resize": view.resize, "interpolation": view.interpolation}
    return {"classes": known.classes, "mean": known.mean, "std": known.std, **shown}


def inputs_for(shape: tuple[int, int, int], fields: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return the input size of a network that is to be shown images (C, H, W), by what is known of it.

    It has the channels of its mean. It is as large as the images, unless it is built for a larger size.
    """
    side = fixed_side(fields.get("architecture", ""))
    mean = fields.get("mean", ())
    channels = shape[0] if isinstance(mean, Real) else len(mean) or shape[0]
    height, width = (side, side) if side is not None and side > max(shape[1:]) else shape[1:]
    return channels, height, width


def wanted_view(path: Path, model: str | None = None, classes: int | None = None) -> View | None:
    """Return how a checkpoint wants pictures resized and cropped; None if nothing says so.

    Our own files say it in their specs; for networks of torchvision and timm, these libraries do, but only
    for their own number of `classes` (None: unknown). `model` is the architecture, if given. An InputError
    if a `View` cannot express the library's preprocessing.
    """
    own = stored_spec(path) if path.suffix == ".safetensors" else None
    if own is not None:
        return own.view
    spec = published_spec(path)
    known = _library(model or (spec.architecture if spec else None), path, classes)
    if known is None:
        return None
    if known.view is None:
        raise InputError(f"{path}: {known.source} does not use a centre crop; set --resize and --crop.")
    return known.view


def common_view(wanted: Iterable[tuple[str | Path, View | None]]) -> View | None:
    """Return the one view that checkpoints want; None if none wants one.

    An InputError if two of them differ: the same images are shown to all.
    """
    found: dict[View, str | Path] = {}
    for name, view in wanted:
        if view is not None:
            found.setdefault(view, name)
    if len(found) > 1:
        (one, first), (other, second), *_ = found.items()
        raise InputError(
            f"{first} wants pictures {one}, {second} wants them {other}; all are shown the same: "
            "set --resize and --crop."
        )
    return next(iter(found), None)


def _library(architecture: str | None, path: Path, classes: int | None) -> Native | None:
    """Return the configuration of the network's library; None if that has a different number of classes."""
    known = None if architecture is None else native(architecture, path)
    return known if known is not None and classes in (None, known.classes) else None


def _grouped(sources: dict[str, str]) -> tuple[str, ...]:
    """Return a phrase for each source, with the fields it supplied.

    >>> _grouped({"std": "as given", "mean": "as given"})
    ('mean, std as given',)
    """
    return tuple(
        f"{', '.join(sorted(key for key, source in sources.items() if source == own))} {own}"
        for own in sorted(set(sources.values()))
    )
