"""The precision in which networks compute, as requested, and the fastest memory format."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from robustbench_act.errors import InputError, unknown_name

_LARGE = 64  # pixels of a side, above which channels last is faster
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


def check_precision(name: str, device: torch.device) -> None:
    """Raise an InputError if a precision is unknown or the device does not have it.

    >>> check_precision("bf16", torch.device("cpu"))
    """
    if name not in PRECISIONS:
        raise unknown_name("precision", name, PRECISIONS)
    if name == "tf32" and device.type != "cuda":
        raise InputError(f"Precision tf32 needs a CUDA device; this run is on {device.type}.")


def memory_format(size: Sequence[int], precision: str, device: torch.device) -> str:
    """Return the name of the format in which networks of this image size (C, H, W) compute.

    Channels last for large images: on two CPU cores at 224 pixels without probes ResNet-18 was 1.20 times as
    fast, VGG-11 1.29, MobileNetV3 1.13; with them 1.18, 1.03 and 0.96. On CUDA
    half precisions want it (PyTorch's "Channels Last Memory Format"). Last digits differ.

    >>> memory_format((3, 224, 224), "fp32", torch.device("cpu"))
    'channels_last'
    >>> memory_format((1, 28, 28), "fp32", torch.device("cpu"))
    'contiguous'
    """
    wanted = device.type != "cuda" or precision in _AUTOCAST
    return "channels_last" if wanted and max(size[1:]) > _LARGE else "contiguous"


@contextmanager
def computing(name: str, device: torch.device) -> Iterator[None]:
    """Let networks compute in a precision; settings of PyTorch are as before afterwards.

    fp32 means fp32: PyTorch's default lets cuDNN round inputs of convolutions to TF32 (10 bits). bf16 and
    fp16 are autocast's, which keeps weights and sums in fp32. On CUDA devices cuDNN is held to deterministic
    algorithms.
    """
    backends: Any = torch.backends
    before = (
        backends.cudnn.conv.fp32_precision,
        backends.cuda.matmul.fp32_precision,
        backends.cudnn.deterministic,
        backends.cudnn.benchmark,
    )
    rounding = "tf32" if name == "tf32" else "ieee"
    _set(rounding, rounding, True, False)
    try:
        with torch.autocast(device.type, _AUTOCAST.get(name), enabled=name in _AUTOCAST):
            yield
    finally:
        _set(*before)


def _set(conv: str, matmul: str, deterministic: bool, benchmark: bool) -> None:
    backends: Any = torch.backends
    backends.cudnn.conv.fp32_precision = conv
    backends.cuda.matmul.fp32_precision = matmul
    backends.cudnn.deterministic = deterministic
    backends.cudnn.benchmark = benchmark
