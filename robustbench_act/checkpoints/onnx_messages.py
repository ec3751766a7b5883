"""The files in which an ONNX file keeps weights, which onnxruntime does not tell."""

from collections.abc import Iterator, Mapping

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LENGTHS = {_FIXED64: 8, _FIXED32: 4}

_SPARSE = "sparse tensor"
_INSIDE: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: _SPARSE},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: _SPARSE,
        23: _SPARSE,
    },
    _SPARSE: {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
"""Fields that hold messages, by the kind of message (onnx.proto): those on the way to `external_data`."""


def external_files(model: bytes) -> tuple[str, ...]:
    """Return the names of the files that hold weights of a model, each once, as the model writes them.

    Raises ValueError if the bytes are not those of a model.

    >>> external_files(b"GIF89a")
    Traceback (most recent call last):
    ValueError: no graph
    """
    whole = memoryview(model)
    if not any(number == 7 for number, _ in _fields(whole)):
        raise ValueError("no graph")
    found: dict[str, None] = {}
    todo = [("model", whole)]
    while todo:
        kind, message = todo.pop()
        inside = _INSIDE.get(kind, {})
        if kind == "entry":
            entry = {number: bytes(value) for number, value in _fields(message)}
            if entry.get(1) == b"location":
                found[entry.get(2, b"").decode()] = None
        elif inside:
            todo += [(inside[number], value) for number, value in _fields(message) if number in inside]
    return tuple(sorted(found))


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the number and the bytes of each field; of numbers, no bytes."""
    place = 0
    while place < len(message):
        key, place = _number(message, place)
        wire = key & 7
        length = _LENGTHS.get(wire, 0)
        if wire == _VARINT:
            _, place = _number(message, place)
        elif wire == _BYTES:
            length, place = _number(message, place)
        elif wire not in _LENGTHS:
            raise ValueError("no graph")
        if place + length > len(message):
            raise ValueError("it is cut off")
        yield key >> 3, message[place : place + length] if wire == _BYTES else message[:0]
        place += length


def _number(message: memoryview, place: int) -> tuple[int, int]:
    """Return the whole number at a place, seven bits a byte, and the place behind it."""
    value = shift = 0
    while place < len(message) and shift < 70:
        byte = message[place]
        value, shift, place = value | (byte & 127) << shift, shift + 7, place + 1
        if byte < 128:
            return value, place
    raise ValueError("it is cut off")
