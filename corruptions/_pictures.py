"""Images as data sets give them - PIL, NumPy, torch, torchvision - as a batch (N, C, H, W), and back."""

import hashlib
import sys
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .errors import InputError

_MODES = ("L", "RGB")


def find_images(parts: list[Any], *, where: str) -> list[int]:
    """Return the places of the images among the parts of a sample, by the rule of torchvision's v2.

    PIL images and `tv_tensors.Image` are images. Without any, the first plain tensor or array is the image.
    """
    if any(isinstance(part, _torchvision("Video")) for part in parts):
        raise InputError(f"Expected images, got a video ({where}).")
    kinds = (Image.Image, *_torchvision("Image"))
    found = [place for place, part in enumerate(parts) if isinstance(part, kinds)]
    plain = [place for place, part in enumerate(parts) if _is_plain(part)]
    if not found and not plain:
        kinds_given = ", ".join(type(part).__name__ for part in parts) or "nothing"
        raise InputError(
            f"Expected an image (PIL, torch or NumPy) among the inputs, got {kinds_given} ({where})."
        )
    return found or plain[:1]


def to_batch(image: Any, *, where: str) -> Tensor:
    """Return an image, or a batch of them, as a plain tensor (N, C, H, W)."""
    if isinstance(image, Image.Image):
        if image.mode not in _MODES:
            raise InputError(
                f"Expected a PIL image of mode L or RGB, got mode {image.mode}; image.convert('RGB') makes "
                f"one ({where})."
            )
        return _from_array(np.asarray(image))
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim not in (2, 3):
            raise InputError(
                f"Expected a uint8 array (H, W) or (H, W, C), got {image.dtype} {image.shape} ({where})."
            )
        return _from_array(image)
    if image.ndim not in (3, 4):
        shape = tuple(image.shape)
        raise InputError(f"Expected a tensor (C, H, W) or (N, C, H, W), got shape {shape} ({where}).")
    plain: Tensor = image.as_subclass(Tensor)
    return plain if plain.ndim == 4 else plain[None]


def like(image: Any, batch: Tensor) -> Any:
    """Return a batch that was made of `image` in the image's own kind and shape."""
    if isinstance(image, Image.Image):
        picture = Image.fromarray(_to_array(batch, flat=image.mode == "L"))
        picture.info = dict(image.info)  # the orientation, the colour profile
        return picture
    if isinstance(image, np.ndarray):
        return _to_array(batch, flat=image.ndim == 2)
    made = batch if image.ndim == 4 else batch[0]
    return sys.modules["torchvision.tv_tensors"].wrap(made, like=image) if _is_tv(image) else made


def digests(batch: Tensor) -> Tensor:
    """Return a number for each image of a batch, int64 (N,): a digest of its shape, type and values.

    >>> black = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    >>> digests(black)[0] == digests(black)[1]
    tensor(True)
    """
    head = f"{batch.dtype} {tuple(batch.shape[1:])}".encode()
    host = batch.detach().cpu().flatten(1).contiguous().view(torch.uint8)
    numbers = [_digest(head, image.data) for image in host.numpy()]
    return torch.tensor(numbers, dtype=torch.int64)


def _digest(head: bytes, values: memoryview) -> int:
    state = hashlib.sha256(head)
    state.update(values)
    return int.from_bytes(state.digest()[:8], "little", signed=True)


def _torchvision(name: str) -> tuple[type, ...]:
    """Return a class of torchvision's tensors; none while torchvision, which takes seconds, is not loaded."""
    module = sys.modules.get("torchvision.tv_tensors")
    return () if module is None else (getattr(module, name),)


def _is_tv(part: object) -> bool:
    return isinstance(part, _torchvision("TVTensor"))


def _is_plain(part: object) -> bool:
    return isinstance(part, Tensor | np.ndarray) and not _is_tv(part)


def _from_array(image: np.ndarray[Any, Any]) -> Tensor:
    channels = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    return torch.from_numpy(channels.copy("C"))[None]  # a copy: torch warns of arrays that are read-only


def _to_array(batch: Tensor, *, flat: bool) -> np.ndarray[Any, Any]:
    channels = batch[0].numpy()
    return channels[0] if flat else np.stack(list(channels), axis=-1)  # a third of the time of permuting
