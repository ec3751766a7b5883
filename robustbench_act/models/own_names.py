"""The networks of this package by source and name, without torch."""

from collections.abc import Mapping

OWN: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "cifar": {f"resnet{depth}": ("width",) for depth in (8, 20, 32, 44, 56)},
    "small": {"mlp": ("depth", "width")},
}
"""The options of each: whole numbers from 1 up, with the defaults of its class."""

OWN_NETWORKS = tuple(f"{source}:{name}" for source, names in OWN.items() for name in names)
"""Their architecture strings."""


def source_of(name: str) -> str | None:
    """Return the source of one of these networks; None for other names.

    >>> source_of("mlp"), source_of("resnet8"), source_of("resnet18")
    ('small', 'cifar', None)
    """
    return next((source for source, names in OWN.items() if name in names), None)
