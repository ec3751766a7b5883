"""Image corruptions in torch: images in, corrupted images out, the same pixels in any batch and order.

>>> import torch, corruptions
>>> images = torch.full((4, 3, 32, 32), 128, dtype=torch.uint8)
>>> noisy = corruptions.corrupt(images, "gaussian_noise", severity=3, seed=0)
>>> noisy.shape, noisy.dtype
(torch.Size([4, 3, 32, 32]), torch.uint8)
>>> corruptions.list_corruptions("*_blur")
['defocus_blur', 'gaussian_blur', 'glass_blur', 'motion_blur', 'zoom_blur']

Names that need torch are loaded on first use; errors and facts do without it.
"""

from typing import TYPE_CHECKING, Any

from .errors import InputError
from .facts import GROUPS, CorruptionFacts, corruption_facts, list_suites

if TYPE_CHECKING:
    from ._compile import kernel, use_compile
    from .api import corrupt
    from .base import Corruption
    from .contract import check_corruption
    from .functions import from_function
    from .registry import get_corruption, list_corruptions, register
    from .severity import list_tables
    from .suites import Cell, Suite, get_suite
    from .transforms import Corrupt, Corrupted, RandomCorruption

__all__ = [
    "GROUPS",
    "Cell",
    "Corrupt",
    "Corrupted",
    "Corruption",
    "CorruptionFacts",
    "InputError",
    "RandomCorruption",
    "Suite",
    "check_corruption",
    "corrupt",
    "corruption_facts",
    "from_function",
    "get_corruption",
    "get_suite",
    "kernel",
    "list_corruptions",
    "list_suites",
    "list_tables",
    "register",
    "use_compile",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import api  # noqa: PLC0415 - torch takes seconds to load

    return getattr(api, name)
