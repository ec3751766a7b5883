"""Are the numbers of two runs about the same thing? What differs, in words."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from robustbench_act.metrics.cells import CELL

Places = tuple[str, str]
_PLACES: Places = ("the first", "the second")
_PREPROCESSING = ("architecture", "activation", "classes", "input_size", "mean", "std")


def image_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Return what differs between the images of two runs, a phrase each: "60 against 100 images".

    Parameters
    ----------
    a, b
        `Run.info`.
    """
    first, second = a["dataset"], b["dataset"]
    if first["images"] != second["images"]:
        return [f"{first['images']} against {second['images']} images"]
    if first["digest"] != second["digest"]:
        return [f"other images, data set {first['name']!r} against {second['name']!r}"]
    return []


def source_differences(a: Mapping[str, Any], b: Mapping[str, Any], *, places: Places = _PLACES) -> list[str]:
    """Return what differs between the corruptions of two runs, a phrase each: "seed 0 against 1".

    Parameters
    ----------
    a, b
        `Run.info`. Weights, devices and versions may differ: they are what is compared.
    places
        What the two are called.
    """
    found = []
    if a["seed"] != b["seed"]:
        found.append(f"seed {a['seed']} against {b['seed']}")
    if a["severities"] != b["severities"]:
        found.append(f"severities {_numbers(a['severities'])} against {_numbers(b['severities'])}")
    return found + _suite_differences(a["suites"], b["suites"], places)


def checkpoint_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Return what differs between two checkpoints' networks and preprocessing, weights and training aside.

    Parameters
    ----------
    a, b
        Entries of `Run.info["checkpoints"]`.
    """
    pairs = [(key, _plain(a[key]), _plain(b[key])) for key in _PREPROCESSING]
    return [f"{a['name']}: {key} {one!r} against {other!r}" for key, one, other in pairs if one != other]


def cell_differences(a: pd.DataFrame, b: pd.DataFrame, *, places: Places = _PLACES) -> list[str]:
    """Return which corrupted cells only one of two runs has."""
    return one_sided("cell", _cells(a), _cells(b), places=places)


def one_sided(what: str, a: Iterable[str], b: Iterable[str], *, places: Places = _PLACES) -> list[str]:
    """Return which names only one of two collections has, a phrase for each side.

    >>> one_sided("checkpoint", ["relu", "elu"], ["relu"])
    ["checkpoint 'elu' only in the first"]
    """
    first, second = list(a), list(b)
    found = []
    for own, other, place in ((first, second, places[0]), (second, first, places[1])):
        alone = [name for name in own if name not in set(other)]
        if alone:
            shown = ", ".join(repr(name) for name in alone[:3])
            more = f" and {len(alone) - 3} more" if len(alone) > 3 else ""
            found.append(f"{what}{'s' if len(alone) > 1 else ''} {shown}{more} only in {place}")
    return found


def _suite_differences(
    a: Iterable[Mapping[str, Any]], b: Iterable[Mapping[str, Any]], places: Places
) -> list[str]:
    ours, theirs = ({suite["name"]: suite for suite in suites} for suites in (a, b))
    found = one_sided("suite", ours, theirs, places=places)
    for name in [name for name in ours if name in theirs]:
        one, other = ours[name], theirs[name]
        if one["table"] != other["table"]:
            found.append(f"suite {name!r} with constants {one['table']} against {other['table']}")
        elif one["hash"] != other["hash"]:
            hashes = f"hash {one['hash'][:8]} against {other['hash'][:8]}"
            found.append(f"suite {name!r} of another content ({hashes})")
    return found


def _cells(cells: pd.DataFrame) -> list[str]:
    rows = cells.loc[cells["severity"] > 0, CELL].drop_duplicates().to_numpy()
    return [f"{corruption}:{severity:g} [{table}]" for table, corruption, severity in rows]


def _numbers(values: Iterable[float]) -> str:
    return ",".join(f"{value:g}" for value in values)


def _plain(value: Any) -> Any:
    """Return a list for a tuple, as JSON gives it back."""
    return list(value) if isinstance(value, tuple) else value
