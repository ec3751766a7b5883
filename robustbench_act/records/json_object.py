"""Objects of run.json as frozen dataclasses: read with checks, written in the order of their fields."""

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Self, get_args, get_origin

from robustbench_act.errors import InputError


@dataclass(frozen=True, kw_only=True)
class JsonObject:
    """An object of run.json. A key that an older run lacks gets its default; unknown keys go into `extra`."""

    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, data: Any, *, where: str) -> Self:
        """Return a JSON object as this class; null counts as a missing key.

        An error starts with `where`: the file, then the place in it. Raises InputError if the value is not an
        object, a key is missing, or a value is of the wrong type.

        >>> from robustbench_act.records import SuiteInfo
        >>> SuiteInfo.from_json({"name": "c15", "mine": 1}, where="run.json").to_json()
        {'name': 'c15', 'source': '', 'codec': '', 'hash': '', 'table': '', 'corruptions': [], 'code': {},
         'mine': 1}
        """
        if not isinstance(data, dict):
            raise InputError(f"{where}: expected an object, got {data!r:.60}.")
        declared = {item.name: item for item in fields(cls) if item.name != "extra"}
        given = {key: value for key, value in data.items() if value is not None and key in declared}
        missing = [name for name, item in declared.items() if _required(item) and name not in given]
        if missing:
            raise InputError(f"{where}: missing {', '.join(missing)}.")
        values = {key: _converted(value, declared[key], where) for key, value in given.items()}
        return cls(**values, extra={key: value for key, value in data.items() if key not in declared})

    def to_json(self) -> dict[str, Any]:
        """Return the object that `from_json` reads: every field in the order of its declaration."""
        own = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "extra"}
        return {**{name: _plain(value) for name, value in own.items()}, **self.extra}


def _required(item: "Field[Any]") -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def _converted(value: Any, item: "Field[Any]", where: str) -> Any:
    """Return a JSON value in the type of its field: a list as a tuple, an object as its JsonObject."""
    place = f"{where}: {item.name}"
    if get_origin(item.type) is tuple:
        (kind, _) = get_args(item.type)
        _check_type(value, (list,), item.name, where)
        return tuple(
            kind.from_json(own, where=place) if issubclass(kind, JsonObject) else own for own in value
        )
    if isinstance(item.type, type) and issubclass(item.type, JsonObject):
        return item.type.from_json(value, where=place)
    kinds = (item.type,) if get_origin(item.type) is Mapping else get_args(item.type) or (item.type,)
    _check_type(value, tuple(get_origin(kind) or kind for kind in kinds), item.name, where)
    return value


_TYPES = {list: "a list", Mapping: "an object", str: "a text", int: "a whole number", float: "a number"}


def _check_type(value: Any, kinds: tuple[Any, ...], name: str, where: str) -> None:
    if not isinstance(value, kinds):
        expected = " or ".join(_TYPES.get(kind, kind.__name__) for kind in kinds if kind is not type(None))
        raise InputError(f"{where}: expected {name!r} to be {expected}, got {value!r:.60}.")


def _plain(value: Any) -> Any:
    """Return the JSON value of a field: the reverse of `_converted`."""
    if isinstance(value, tuple):
        return [_plain(own) for own in value]
    return value.to_json() if isinstance(value, JsonObject) else value
