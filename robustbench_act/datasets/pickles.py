"""Python pickles of arrays, such as CIFAR's batches, read without running anything they name.

A pickle is a program. Its instructions are listed first (`pickletools`) and refused unless they make plain
containers; then an unpickler reads it that resolves names only to records of our own, which become arrays.
"""

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

from robustbench_act.errors import InputError
from robustbench_act.file_kinds import PICKLE, why_unreadable

_OPCODES = frozenset({
    "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT",
    "BININT1", "BININT2", "LONG", "LONG1", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "LIST", "APPEND", "APPENDS",
    "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET",
    "BINGET", "LONG_BINGET", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD",
})  # fmt: skip
_MOST_MEMO = 1_000_000  # the memo is allocated up to its largest index: refuse what only a bomb would have


class _DType:
    """Stands for a dtype in a pickle."""

    def __init__(self, name: object, *rest: object) -> None:
        self.name = name

    def __setstate__(self, state: object) -> None:
        pass  # byte order and alignment, which bytes do not have


class _Array:
    """Stands for an array in a pickle."""

    def __init__(self, *arguments: object) -> None:
        self.array: np.ndarray[Any, Any] | None = None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("an array of an unknown form")
        _, shape, dtype, fortran, data = state
        name = dtype.name if isinstance(dtype, _DType) else None
        if name not in ("u1", b"u1", "i8", b"i8") or not isinstance(data, bytes):
            raise pickle.UnpicklingError("an array of neither bytes nor 64-bit integers")
        flat = np.frombuffer(data, dtype="u1" if name in ("u1", b"u1") else "<i8")
        self.array = flat.reshape(shape, order="F" if fortran else "C")


class _Marker:
    """Stands for a class that is only an argument."""


def _encode(text: object, codec: object) -> bytes:
    """Return the bytes that Python 3 writes as text in protocol 2."""
    if not isinstance(text, str) or codec not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("bytes in an encoding other than latin1")
    return text.encode("latin1")


_NAMES: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Marker,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encode,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _NAMES[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"asks for {module}.{name}") from None

    def persistent_load(self, pid: object) -> Any:
        raise pickle.UnpicklingError("asks for objects outside the file")


def read_pickle(path: Path) -> dict[str, Any]:
    """Return the dictionary in a pickle of plain containers and arrays, with its keys as text.

    An InputError for a file that is missing or damaged, or that asks for anything but arrays.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    data = path.read_bytes()
    try:
        _check(data)
        found = _Reader(io.BytesIO(data), encoding="bytes").load()
    except Exception as error:  # a damaged pickle makes the reader raise almost anything
        reason = why_unreadable(path, error, PICKLE)
        raise InputError(
            f"{path}: not a pickle of plain arrays ({reason}); nothing in it was run."
        ) from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected a dictionary, got {type(found).__name__}.")
    return {_text(key): value.array if isinstance(value, _Array) else value for key, value in found.items()}


def _check(data: bytes) -> None:
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name not in _OPCODES:
            raise pickle.UnpicklingError(f"has the instruction {opcode.name}")
        if opcode.name in ("PUT", "LONG_BINPUT") and int(argument or 0) > _MOST_MEMO:
            raise pickle.UnpicklingError(f"has a memo of {argument} places")


def _text(key: object) -> str:
    return key.decode("latin1") if isinstance(key, bytes) else str(key)
