"""The description that a checkpoint carries: its network, and how to feed it."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from robustbench_act.activations import activation_name, list_activations
from robustbench_act.datasets.normalisations import USUAL
from robustbench_act.errors import InputError, unknown_name
from robustbench_act.option_kinds import LABELS, is_parameter
from robustbench_act.preprocessing import Preprocessing
from robustbench_act.view import View

METADATA_KEY = "actrobust"
_PUBLISHED = re.compile(
    r"(?P<activation>[a-z_0-9]+?)(?:_alpha(?P<alpha>[0-9]+(?:\.[0-9]+)?))?_(?P<trial>[0-9]+)\.pth\.tar"
)
# Folder name in the published layout -> data set, classes, input size.
_PUBLISHED_SETS = {
    "cifar10": ("cifar-10", 10, (3, 32, 32)),
    "cifar100": ("cifar-100", 100, (3, 32, 32)),
    "imagenet": ("imagenet", 1000, (3, 224, 224)),
}

_KINDS: dict[str, Any] = {
    "architecture": str,
    "activation": str,
    "activation_parameters": Mapping,
    "normalization": str,
    "activation_facts": Mapping,
    "training_seed": int,
    "dataset": str,
    "recipe": Mapping,
    "clean_accuracy": int | float | None,
    "validation_accuracy": int | float | None,
    "resize": int | tuple | None,
    "interpolation": str,
    "labels": Mapping,
}
_FAR = 10.0  # no mean or std on the [0, 1] scale is this large


@dataclass(frozen=True)
class Spec:
    """Everything needed to rebuild the network and feed it.

    Attributes
    ----------
    architecture, activation, activation_parameters, normalization
        As `build_model` takes them.
    training_seed
        The seed (or the published trial number) that tells training runs of one recipe apart.
    classes
        Number of logits.
    input_size
        (C, H, W) of the images.
    mean, std
        Per channel on the [0, 1] scale; the network sees (image - mean) / std.
    dataset
        Name of the training set.
    recipe
        How it was trained, for the record.
    clean_accuracy
        On images of `dataset` that it was not trained on, in [0, 1]; None if unknown.
    validation_accuracy
        On images split off from those to train on, to choose settings by, in [0, 1]; None without them.
    resize, interpolation
        Applied to pictures before their centre of `input_size` is cut out, see `robustbench_act.view.View`;
        None unless it was trained on pictures of several sizes.
    labels
        What tables and reports call the activation, architecture and group, any of `LABELS`, in place of what
        built the network: networks are compared and averaged by these.
    activation_facts
        What `ActivationFacts.to_record` tells of a user's own activation: label, formula, where its code is,
        and the code's digest; empty for those of this package.
    layers
        More modules that are measured as activation layers, as `watch_layers` takes them.
    """

    architecture: str
    activation: str
    classes: int
    input_size: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    activation_parameters: Mapping[str, Any] = field(default_factory=dict)
    normalization: str = "native"
    training_seed: int = 0
    dataset: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    clean_accuracy: float | None = None
    validation_accuracy: float | None = None
    resize: int | tuple[int, int] | None = None
    interpolation: str = "bilinear"
    labels: Mapping[str, str] = field(default_factory=dict)
    activation_facts: Mapping[str, str] = field(default_factory=dict)
    layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        sizes: Sequence[object] = self.input_size
        if len(sizes) != 3 or not all(isinstance(size, int) and size > 0 for size in sizes):
            raise InputError(f"Expected input_size C,H,W, such as 3,32,32, got {_listed(sizes)}.")
        if self.classes < 1:
            raise InputError(f"Expected at least 1 class, got {self.classes}.")
        channels = self.input_size[0]
        if not len(self.mean) == len(self.std) == channels:
            raise InputError(
                f"Expected mean and std with {channels} value(s), one per channel, such as "
                f"{_listed(['0.5'] * channels)}, got {_listed(self.mean)} and {_listed(self.std)}."
            )
        if not all(value > 0 for value in self.std):
            raise InputError(f"Expected every std above 0, got {_listed(self.std)}.")
        if not all(-_FAR <= value <= _FAR for value in (*self.mean, *self.std)):
            raise InputError(
                f"Expected mean and std on the [0, 1] scale (divide those of 0 to 255 by 255), "
                f"got {_listed(self.mean)} and {_listed(self.std)}."
            )
        _check_labels(self.labels)

    @property
    def view(self) -> View | None:
        """How pictures are resized and cropped; None if the spec does not say."""
        if self.resize is None:
            return None
        return View(self.resize, self.input_size[-1], self.interpolation, source="the checkpoint's spec")

    def preprocessing(self, shape: tuple[int, int, int]) -> Preprocessing:
        """Return how images (C, H, W) become the network's inputs.

        Grey images are repeated for RGB networks, RGB images are made grey for grey ones, and smaller images
        are enlarged. An InputError for any others than those of `input_size`.

        >>> spec = Spec("cifar:resnet8", "relu", 10, (3, 64, 64), (0.1,) * 3, (0.3,) * 3)
        >>> spec.preprocessing((1, 32, 32)).steps(1)
        ('repeated for 3 channels', 'resized to 64 x 64 (bilinear)')
        """
        (channels, height, width), (own, tall, wide) = shape, self.input_size
        enlarged = tall >= height > 0 and tall * width == wide * height
        if not enlarged or (channels != own and {channels, own} != {1, 3}):
            hint = (
                f"; show them with --resize {tall} --crop {tall}" if tall == wide and channels == own else ""
            )
            raise InputError(f"expects images of (C, H, W) = {self.input_size}, got {shape}{hint}.")
        if height == tall:
            return Preprocessing(self.mean, self.std)
        if self.interpolation == "lanczos":
            raise InputError(
                f"images of {height} x {width} are not enlarged by lanczos: add --resize {tall}."
            )
        return Preprocessing(self.mean, self.std, (tall, wide), self.interpolation)

    @property
    def activation_name(self) -> str:
        """The activation as tables name it: its label, else with the parameters that are not the defaults.

        >>> Spec("resnet20", "la_silu", 10, (1, 8, 8), (0.1,), (0.3,), {"alpha": 0.1}).activation_name
        'la_silu(alpha=0.1)'
        """
        label = self.labels.get("activation")
        return label or activation_name(self.activation, self.activation_parameters)

    @property
    def architecture_name(self) -> str:
        """The architecture as tables name it: its label, or what built the network."""
        return self.labels.get("architecture", self.architecture)

    @property
    def group(self) -> str:
        """The group that its label names; "" if it has none."""
        return self.labels.get("group", "")

    def to_json(self) -> str:
        """Return the spec as one JSON object with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str, *, where: str) -> "Spec":
        """Read what `to_json` wrote; keys that only later versions know are ignored.

        >>> spec = Spec("cifar:resnet8", "relu", 10, (1, 28, 28), (0.1,), (0.3,))
        >>> Spec.from_json(spec.to_json(), where="here") == spec
        True
        """
        try:
            data = json.loads(text)
            known = {key: value for key, value in data.items() if key in {item.name for item in fields(cls)}}
            known |= {
                "input_size": tuple(int(size) for size in data["input_size"]),
                "mean": tuple(float(value) for value in data["mean"]),
                "std": tuple(float(value) for value in data["std"]),
                "classes": int(data["classes"]),
            }
            if isinstance(known.get("resize"), list):
                height, width = map(int, known["resize"])
                known["resize"] = height, width
            if "layers" in known:
                known["layers"] = tuple(str(pattern) for pattern in data["layers"])
            for name, kind in _KINDS.items():
                if name in known and not isinstance(known[name], kind):
                    raise InputError(f"{name} is {known[name]!r:.60}")
            if not all(map(is_parameter, known.get("activation_parameters", {}).values())):
                raise InputError(f"activation_parameters is {known['activation_parameters']!r:.60}")
            spec = cls(**known)
            _ = spec.view
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise InputError(f"{where}: the checkpoint's spec cannot be read: {error!s}.") from error
        return spec

    def override(self, **values: object) -> "Spec":
        """Return the spec with those of `values` that are not None; labels are added to its own.

        >>> spec = Spec("mine:net", "native", 10, (1, 8, 8), (0.1,), (0.3,), labels={"group": "mine"})
        >>> spec.override(labels={"activation": "GatedCube"}, classes=None).labels
        {'group': 'mine', 'activation': 'GatedCube'}
        """
        given: dict[str, Any] = {key: value for key, value in values.items() if value is not None}
        if "labels" in given:
            given["labels"] = {**self.labels, **given["labels"]}
        return replace(self, **given)


def published_spec(path: Path) -> Spec | None:
    """Return the spec that a path in the published LayerAct layout spells out, or None for other paths.

    The layout is `<DATASET>/<architecture>/<activation>[_alpha<value>]_<trial>.pth.tar`. Mean and std are
    the usual ones of that data set.

    >>> spec = published_spec(Path("trained_networks/CIFAR10/resnet20/la_silu_alpha0.1_3.pth.tar"))
    >>> spec.architecture, spec.activation, dict(spec.activation_parameters), spec.training_seed
    ('resnet20', 'la_silu', {'alpha': 0.1}, 3)
    >>> published_spec(Path("weights.pth")) is None
    True
    """
    match = _PUBLISHED.fullmatch(path.name)
    facts = _PUBLISHED_SETS.get(path.parent.parent.name.lower().replace("-", ""))
    if match is None or facts is None or match["activation"] not in list_activations():
        return None
    dataset, classes, size = facts
    mean, std = USUAL[dataset]
    return Spec(
        architecture=path.parent.name,
        activation=match["activation"],
        activation_parameters={"alpha": float(match["alpha"])} if match["alpha"] else {},
        training_seed=int(match["trial"]),
        classes=classes,
        input_size=size,
        mean=mean,
        std=std,
        dataset=dataset,
    )


def _check_labels(labels: Mapping[str, object]) -> None:
    for name, text in labels.items():
        if name not in LABELS:
            raise unknown_name("label", name, LABELS)
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"Expected a text as the label {name!r}, got {text!r:.60}.")


def _listed(values: Iterable[object]) -> str:
    return ",".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
