"""A folder as Hugging Face transformers saves it: configuration, image processor and safetensors.

Nothing is downloaded, and nothing in the folder is executed: the network is one of the library's own classes.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from robustbench_act.activations.facts import NATIVE
from robustbench_act.checkpoints.checkpoint import weights_digest
from robustbench_act.checkpoints.elsewhere import Elsewhere
from robustbench_act.checkpoints.fitting import not_finite
from robustbench_act.checkpoints.memory import activation_in
from robustbench_act.checkpoints.processors import CONFIG as PROCESSOR
from robustbench_act.checkpoints.processors import Processor, quiet, read_processor
from robustbench_act.checkpoints.reading import read_weights, some
from robustbench_act.errors import InputError, first_line
from robustbench_act.file_kinds import why_unreadable

CONFIG = "config.json"
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
_ADAPTER = "adapter_config.json"
_CODE = ("auto_map", "custom_pipelines")
_UNNAMED = re.compile(r"LABEL_\d+")  # what the library calls a class without a name
_PASSING = ("transformers_version", "_name_or_path", "dtype", "torch_dtype", "id2label", "label2id")
"""Entries of the configuration that change no number."""


def read_folder(folder: Path, where: Path) -> Elsewhere:
    """Return the network in a folder; InputErrors begin with `where`, as the user named it."""
    config = _configuration(folder, where)
    library = import_transformers()
    made, kind = _class_of(library, config, where)
    network, tensors, notes = _built(library, made, kind, folder, where)
    processor = processor_of(folder, where, library)
    facts: dict[str, Any] = {"classes": int(made.num_labels), **processor.facts}
    if "input_size" not in facts and isinstance(side := getattr(made, "image_size", None), int):
        facts["input_size"] = (getattr(made, "num_channels", 3), side, side)
    activation = activation_in(network)
    if activation != NATIVE:
        facts["labels"] = {"activation": activation}
    names = tuple(str(made.id2label[place]) for place in sorted(made.id2label))
    parameters = sum(own.numel() for own in network.parameters())
    return Elsewhere(
        network=network,
        architecture=f"transformers:{kind.__name__}?parameters={parameters}",
        facts=facts,
        doubt=processor.problem,
        digest=_digest(tensors, config),
        size=sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()),
        class_names=() if all(map(_UNNAMED.fullmatch, names)) else names,
        names_in=str(folder / CONFIG),
        problem=not_finite(tensors),
        notes=tuple(notes),
    )


def processor_of(folder: Path, where: Path, library: Any = None) -> Processor:
    """Return the image processor of a folder: one without facts if it holds none."""
    channels = 1 if _configuration(folder, where).get("num_channels") == 1 else 3
    if not (folder / PROCESSOR).is_file():
        return Processor()
    _read_json(folder / PROCESSOR, where)
    return read_processor(folder, where, library or import_transformers(), channels=channels)


def import_transformers() -> Any:
    """Return the transformers package; an InputError if it is not installed."""
    try:
        import transformers  # noqa: PLC0415 - an extra, and seconds to load
    except ImportError as error:
        raise InputError(
            "Networks of transformers need the package: pip install 'actrobust[transformers]'."
        ) from error
    return transformers


def _configuration(folder: Path, where: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise InputError(f"{where}: expected a folder of transformers; no such folder.")
    if (folder / _ADAPTER).is_file():
        raise InputError(f"{where}: holds {_ADAPTER}; merge the adapter into its network, then save that.")
    if not (folder / CONFIG).is_file():
        raise InputError(f"{where}: expected a folder as transformers saves it; it holds no {CONFIG}.")
    return _read_json(folder / CONFIG, where)


def _read_json(file: Path, where: Path) -> dict[str, Any]:
    """Return the content of a file; an InputError if it asks for code, or for more than this network."""
    name = f"{where}/{file.name}"
    try:
        data = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{name}: expected JSON ({why_unreadable(file, error)}).") from error
    if not isinstance(data, dict):
        raise InputError(f"{name}: expected a JSON object, got {type(data).__name__}.")
    for key, value in _entries(data):
        if key in _CODE:
            raise InputError(f"{name}: refused, its {key!r} names code, and nothing in a folder is executed.")
        if key.endswith("_implementation") and "/" in str(value):
            raise InputError(f"{name}: refused, its {key!r} names code to download: {value!r:.60}.")
        if key == "quantization_config" and value:
            raise InputError(f"{name}: its weights are quantised ({key!r}); save them in float32.")
    return data


def _entries(data: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield str(key), value
            yield from _entries(value)
    elif isinstance(data, list):
        for value in data:
            yield from _entries(value)


def _class_of(library: Any, config: Mapping[str, Any], where: Path) -> tuple[Any, Any]:
    """Return the library's configuration, and its class of the network: one that classifies images."""
    name, model_type, named = f"{where}/{CONFIG}", config.get("model_type"), config.get("architectures")
    if model_type == "timm_wrapper":
        raise InputError(f"{name}: is a network of timm; give its model.safetensors with --model timm:NAME.")
    if model_type not in library.CONFIG_MAPPING:
        raise InputError(
            f"{name}: transformers {library.__version__} knows no model_type {model_type!r:.60}."
        )
    try:
        made = library.CONFIG_MAPPING[model_type].from_dict(dict(config))
        kinds = library.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING.get(type(made), ())
    except Exception as error:  # the library's checks of the values
        raise InputError(f"{name}: transformers cannot read it ({first_line(error)}).") from error
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    kind = next((kind for kind in kinds if named == [kind.__name__]), None)
    if kind is None:
        known = " or ".join(kind.__name__ for kind in kinds) or "an image classifier"
        raise InputError(f"{name}: expected {known} in 'architectures', got {named!r:.80}.")
    return made, kind


def _built(
    library: Any, made: Any, kind: Any, folder: Path, where: Path
) -> tuple[nn.Module, dict[str, Tensor], list[str]]:
    """Return the network with its weights, these by its names, and notes."""
    file = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if file is None:
        pickled = next((name for name in _PICKLES if (folder / name).is_file()), None)
        advice = "transformers' from_pretrained(FOLDER).save_pretrained(FOLDER) writes it"
        found = f"{pickled}, a pickle, which is not read: {advice}" if pickled else "neither it nor its index"
        raise InputError(f"{where}: expected {_WEIGHTS[0]}, found {found}.")
    tensors = dict(read_weights(file).tensors)
    try:
        with torch.random.fork_rng(devices=[]), quiet(library):
            network, report = kind.from_pretrained(
                None,
                config=made,
                state_dict=tensors,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,  # they are in the report
                output_loading_info=True,
            )
    except Exception as error:  # of the library
        raise InputError(f"{where}: transformers cannot build it ({first_line(error)}).") from error
    others = [str(entry[0] if isinstance(entry, tuple) else entry) for entry in report["mismatched_keys"]]
    lists = {"missing": report["missing_keys"], "other shapes": others, "problems": report["error_msgs"]}
    problems = [f"{label} {some(sorted(keys))}" for label, keys in lists.items() if keys]
    if problems:
        raise InputError(f"{file}: the weights do not fit the network; {'; '.join(problems)}.")
    network.requires_grad_(False).eval()
    passed_over = sorted(report["unexpected_keys"])
    notes = [f"transformers passed over {some(passed_over)}"] if passed_over else []
    return network, network.state_dict(), notes


def _digest(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the weights and of what else in the configuration changes numbers."""
    kept = {key: value for key, value in config.items() if key not in _PASSING}
    return hashlib.sha256(
        f"{weights_digest(tensors)}\n{json.dumps(kept, sort_keys=True)}".encode()
    ).hexdigest()
