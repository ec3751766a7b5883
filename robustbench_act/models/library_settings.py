"""The preprocessing of torchvision's and timm's networks, from their libraries' own configuration."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robustbench_act.errors import InputError, unknown_name
from robustbench_act.models.architecture import Architecture, import_timm, import_torchvision_models
from robustbench_act.view import INTERPOLATIONS, View


@dataclass(frozen=True)
class Native:
    """A library's configuration of a network with its published weights.

    Attributes
    ----------
    source
        Whose configuration it is, e.g. "torchvision's ResNet18_Weights.IMAGENET1K_V1".
    classes, input_size, mean, std
        As in `Spec`.
    view
        How pictures are resized and cropped; None if a `View` cannot express it.
    published
        Whether the file is, by its name, one of the library's own.
    """

    source: str
    classes: int
    input_size: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    view: View | None
    published: bool = False


def native(architecture: str, path: Path | None = None) -> Native | None:
    """Return the configuration of a torchvision or timm network; None for others.

    torchvision may have several for one network: the one of the published file with the name of `path` is
    taken, else the first. In timm the tag in the network's name chooses; without one, the first is taken.

    >>> found = native("torchvision:resnet18")
    >>> found.source, str(found.view)
    ("torchvision's ResNet18_Weights.IMAGENET1K_V1", 'resized to 256, centre of 224 x 224, bilinear')
    >>> native("cifar:resnet8") is None
    True
    """
    parsed = Architecture.parse(architecture)
    if parsed.source == "torchvision":
        return _torchvision(parsed.name, path)
    return _timm(parsed.name) if parsed.source == "timm" else None


def fixed_side(architecture: str) -> int | None:
    """Return the side of the images that a network of timm is built for, if it takes no others; else None.

    >>> fixed_side("cifar:resnet8") is None
    True
    """
    parsed = Architecture.parse(architecture) if architecture.startswith("timm:") else None
    if parsed is None or {"img_size", "dynamic_img_size"} & set(parsed.options):
        return None
    config = import_timm().models.get_pretrained_cfg(parsed.name)
    return config.input_size[-1] if config is not None and config.fixed_input_size else None


def _torchvision(name: str, path: Path | None) -> Native | None:
    weights: list[Any] = list(import_torchvision_models().get_model_weights(name))
    if not weights:
        return None
    named = [entry for entry in weights if path is not None and entry.url.endswith(f"/{path.name}")]
    chosen = (named or weights)[0]
    source, how = f"torchvision's {chosen}", chosen.transforms()
    (resize,), (crop,) = how.resize_size, how.crop_size
    return Native(
        source=source,
        classes=len(chosen.meta["categories"]),
        input_size=(len(how.mean), crop, crop),
        mean=tuple(how.mean),
        std=tuple(how.std),
        view=View(resize, crop, how.interpolation.value, source),
        published=bool(named),
    )


def _timm(name: str) -> Native | None:
    timm = import_timm()
    try:
        config = timm.models.get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError as error:
        if timm.models.is_model(name):
            raise InputError(f"Architecture 'timm:{name}': {error}") from error
        known = [f"timm:{known}" for known in timm.list_models()]
        raise unknown_name("architecture", f"timm:{name}", known) from error
    how = timm.data.resolve_data_config(pretrained_cfg=config.to_dict(), use_test_size=True)
    source = f"timm's {config.architecture}{f'.{config.tag}' if config.tag else ''}"
    channels, height, width = how["input_size"]
    side = math.floor(height / how["crop_pct"])
    resize = {"center": side, "squash": (side, side)}.get(how["crop_mode"])
    expressed = height == width and resize is not None and how["interpolation"] in INTERPOLATIONS
    view = View(resize, height, how["interpolation"], source) if expressed else None
    mean, std = tuple(how["mean"]), tuple(how["std"])
    return Native(source, config.num_classes, (channels, height, width), mean, std, view)
