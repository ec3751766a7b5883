"""Corruptions of other libraries that compute the same thing as ours, at severity 3, for the benchmark.

Each function takes uint8 images (N, C, H, W) and returns, by the name of our corruption, a call that corrupts
them all; they are brought into the library's form before. ImportError is raised if the library is missing.
"""

import io
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.metadata import version
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from corruptions._host import opencv

Calls: TypeAlias = dict[str, Callable[[], object]]


def torch_uncertainty(images: Tensor) -> Calls:
    """Return those of torch-uncertainty, of floats: a batch at once where it takes one."""
    library = import_module("torch_uncertainty.transforms.corruption")
    floats = images / 255
    names = {
        "gaussian_noise": "GaussianNoise",
        "shot_noise": "ShotNoise",
        "impulse_noise": "ImpulseNoise",
        "speckle_noise": "SpeckleNoise",
        "gaussian_blur": "GaussianBlur",
        "defocus_blur": "DefocusBlur",
        "zoom_blur": "ZoomBlur",
        "fog": "Fog",
        "elastic_transform": "Elastic",
        "pixelate": "Pixelate",
        "jpeg_compression": "JPEGCompression",
    }
    made = {name: getattr(library, kind)(3) for name, kind in names.items()}
    return {
        name: partial(one, floats) if getattr(one, "batchable", False) else partial(_each, one, list(floats))
        for name, one in made.items()
    }


def albumentations(images: Tensor) -> Calls:
    """Return those of albumentations, image by image."""
    library = import_module("albumentations")
    made = {
        "gaussian_noise": library.GaussNoise(std_range=(0.18, 0.18), p=1),
        "gaussian_blur": library.GaussianBlur(blur_limit=25, sigma_limit=(3, 3), p=1),
        "defocus_blur": library.Defocus(radius=(6, 6), alias_blur=(0.5, 0.5), p=1),
        "glass_blur": library.GlassBlur(sigma=1, max_delta=2, iterations=3, mode="exact", p=1),
        "zoom_blur": library.ZoomBlur(max_factor=(1.21, 1.21), step_factor=(0.02, 0.02), p=1),
        "spatter": library.Spatter(
            mean=0.65, std=0.3, gauss_sigma=2, cutout_threshold=0.68, intensity=0.5, mode="rain", p=1
        ),
        "jpeg_compression": library.ImageCompression(quality_range=(15, 15), p=1),
    }
    arrays = [{"image": image} for image in _interleaved(images)]
    return {name: partial(_each_with_keywords, one, arrays) for name, one in made.items()}


def torchvision(images: Tensor) -> Calls:
    """Return those of torchvision's v2: noise of floats, JPEG of levels."""
    library = import_module("torchvision.transforms.v2")
    return {
        "gaussian_noise": partial(library.GaussianNoise(sigma=0.18), images / 255),
        "gaussian_blur": partial(library.GaussianBlur(25, sigma=3.0), images),
        "jpeg_compression": partial(library.JPEG(15), images),
    }


def pillow(images: Tensor) -> Calls:
    """Return Pillow's JPEG: encoded and decoded, in memory."""

    def code(image: Image.Image) -> object:
        stored = io.BytesIO()
        image.save(stored, "JPEG", quality=15)
        return Image.open(stored).load()

    pictures = [Image.fromarray(image) for image in _interleaved(images)]
    return {"jpeg_compression": partial(_each, code, pictures)}


def opencv_codec(images: Tensor) -> Calls:
    """Return OpenCV's JPEG: encoded and decoded, in memory."""
    library = opencv()
    if library is None:
        raise ImportError("OpenCV does not load")

    def code(image: object) -> object:
        options = (library.IMWRITE_JPEG_QUALITY, 15)
        return library.imdecode(library.imencode(".jpg", image, options)[1], library.IMREAD_COLOR)

    return {"jpeg_compression": partial(_each, code, _interleaved(images))}


PEERS: dict[str, Callable[[Tensor], Calls]] = {
    "torch-uncertainty": torch_uncertainty,
    "albumentations": albumentations,
    "torchvision": torchvision,
    "pillow": pillow,
    "opencv-python": opencv_codec,
}


def installed_peers(images: Tensor) -> tuple[dict[str, Calls], list[str]]:
    """Return the calls by library and version, and why the other libraries are missing."""
    found, missing = {}, []
    for library, calls in PEERS.items():
        try:
            found[f"{library} {version(library)}"] = calls(images)
        except ImportError as error:
            missing.append(f"Not measured: {library} ({error}).")
    return found, missing


def _interleaved(images: Tensor) -> list[Any]:
    return [np.ascontiguousarray(image) for image in images.permute(0, 2, 3, 1).numpy()]


def _each(function: Callable[[Any], object], images: list[Any]) -> None:
    with torch.no_grad():
        for image in images:
            function(image)


def _each_with_keywords(function: Callable[..., object], images: list[dict[str, Any]]) -> None:
    for image in images:
        function(**image)
