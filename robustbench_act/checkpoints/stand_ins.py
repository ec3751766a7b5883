"""What a file may hold next to its weights, read as empty objects: no name in a pickle is looked up."""

from typing import Any


class Inert:
    """Stands for an object next to the weights: takes all, keeps nothing, runs nothing."""

    def __init__(self, *arguments: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


def empty_dict(*_: object) -> dict[object, object]:
    """Stand for defaultdict: the function that makes its values is not kept."""
    return {}


def _named(module: str, names: str) -> list[tuple[Any, str]]:
    return [(Inert, f"{module}.{name}") for name in names.split()]


_PATHS = "Path PosixPath WindowsPath PurePath PurePosixPath PureWindowsPath"
STAND_INS: list[Any] = [
    (empty_dict, "collections.defaultdict"),
    *_named("argparse", "Namespace"),
    *_named("builtins", "bool bytes dict float int list object str tuple"),  # types, as in defaultdict(list)
    *_named("numpy", "dtype ndarray bool bool_ int8 int16 int32 int64 uint8 float16 float32 float64"),
    *_named("numpy.core.multiarray", "scalar _reconstruct"),  # NumPy 1
    *_named("numpy._core.multiarray", "scalar _reconstruct"),
    *_named("pathlib", _PATHS),
    *_named("pathlib._local", _PATHS),  # Python 3.13
]
"""What PyTorch's unpickler calls in place of these names, none of which is looked up."""
