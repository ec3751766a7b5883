"""CIFAR's python batches, as Python 2's cPickle wrote them: protocol 2, byte strings, NumPy's old names.

The layout of the files is on https://www.cs.toronto.edu/~kriz/cifar.html: a dictionary with `data`, uint8
(N, 3072), red, green, blue, each row by row, and `labels` or `fine_labels` and `coarse_labels`, lists.
"""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray


def python_2_pickle(content: dict[str, Any]) -> bytes:
    """Return a dictionary as Python 2 pickled it."""
    return b"\x80\x02" + _dict(content) + b"."


def _dict(content: dict[str, Any]) -> bytes:
    pairs = b"".join(_string(key.encode()) + _value(value) for key, value in content.items())
    return b"}(" + pairs + b"u"


def _value(value: Any) -> bytes:
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, str):
        return _string(value.encode())
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    return b"](" + b"".join(map(_value, value)) + b"e"


def _string(text: bytes) -> bytes:
    """Return SHORT_BINSTRING or BINSTRING, which Python 3 can read and not write."""
    if len(text) < 256:
        return b"U" + bytes([len(text)]) + text
    return b"T" + struct.pack("<i", len(text)) + text


def _array(array: NDArray[np.uint8]) -> bytes:
    """Return numpy.core.multiarray._reconstruct(ndarray, (0,), 'b') and its state."""
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
    rows, columns = (b"J" + struct.pack("<i", size) for size in array.shape)
    dtype = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    return made + b"(K\x01(" + rows + columns + b"t" + dtype + b"\x89" + _string(array.tobytes()) + b"tb"
