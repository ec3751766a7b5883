"""Are the numbers of two runs about the same thing? One verdict, with what differs in words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import pandas as pd

from robustbench_act.english import count, numbers, some
from robustbench_act.records import CELL, CheckpointInfo, DatasetInfo, RunInfo, SuiteInfo

_PREPROCESSING = (
    "architecture",
    "activation",
    "normalization",
    "network_group",
    "classes",
    "input_size",
    "mean",
    "std",
    "adapted",
)


class Measured(Protocol):
    """What has been measured: a run, or the baseline that was made of one."""

    @property
    def info(self) -> RunInfo:
        """What was run."""

    @property
    def cells(self) -> pd.DataFrame:
        """Rows as those of `RunData.cells`."""


@dataclass(frozen=True)
class Comparability:
    """What differs between two runs, a phrase each: "seed 0 against 1".

    Weights, devices and versions may differ: they are what is compared.

    Attributes
    ----------
    images
        Other images cannot be paired: such runs are never compared.
    corruptions
        Their seed, severities and suites.
    cells
        Corrupted cells that only one of the two has.
    networks
        Architecture and preprocessing of the checkpoints that are paired.
    unpaired
        Checkpoints that only one of the two has.
    computing
        Precision and probes: what networks side by side in one run have in common.
    """

    images: tuple[str, ...]
    corruptions: tuple[str, ...]
    cells: tuple[str, ...]
    networks: tuple[str, ...]
    unpaired: tuple[str, ...]
    computing: tuple[str, ...]

    @property
    def unlike(self) -> tuple[str, ...]:
        """What keeps two runs on the same images from being compared, unless they are forced together."""
        return self.corruptions + self.cells + self.networks

    def refusal(self, who: str, *, forced: bool = False, whole: bool = False, merged: bool = False) -> str:
        """Return why the two must not be compared, as an error has it; "" if they may.

        Parameters
        ----------
        who
            The two, as in "a and b".
        forced
            Only other images are a reason.
        whole
            Unpaired checkpoints are a reason too.
        merged
            They become one run: a different way of computing is a reason too.
        """
        if self.images:
            done = "merged" if merged else "compared"
            return f"{who}: only the same images can be {done}: {self.images[0]}."
        more = (self.unpaired if whole else ()) + (self.computing if merged else ())
        unlike = () if forced else self.unlike + more
        return f"{who} are not alike: {'; '.join(unlike)}." if unlike else ""


def compare_setups(
    a: Measured,
    b: Measured,
    *,
    pairs: Iterable[tuple[str, str]] | None = None,
    places: tuple[str, str] = ("the first", "the second"),
) -> Comparability:
    """Return whether the numbers of two runs are about the same thing.

    Parameters
    ----------
    pairs
        Names of the checkpoints that are compared with each other; those of the same name if left out.
    places
        What the two are called.
    """
    ours, theirs = ({entry.name: entry for entry in one.info.checkpoints} for one in (a, b))
    paired = [(name, name) for name in ours if name in theirs] if pairs is None else list(pairs)
    firsts, seconds = ({pair[place] for pair in paired} for place in (0, 1))
    unpaired = [
        [name for name in ours if name not in firsts],
        [name for name in theirs if name not in seconds],
    ]
    networks = [phrase for one, other in paired for phrase in _networks(ours[one], theirs[other])]
    return Comparability(
        images=tuple(_images(a.info.dataset, b.info.dataset)),
        corruptions=tuple(_corruptions(a.info, b.info, places)),
        cells=tuple(one_sided("cell", _cells(a.cells), _cells(b.cells), places)),
        networks=tuple(networks),
        unpaired=tuple(one_sided("checkpoint", unpaired[0], unpaired[1], places)),
        computing=tuple(_computing(a.info, b.info)),
    )


def _images(first: DatasetInfo, second: DatasetInfo) -> list[str]:
    if first.columns != second.columns:
        return [f"valid classes: {_restricted(first)} against {_restricted(second)}"]
    if first.images != second.images:
        return [f"{first.images} against {second.images} images"]
    if first.classes != second.classes and sorted(first.classes) == sorted(second.classes):
        return [f"class order {first.class_order!r} against {second.class_order!r}"]
    if first.digest != second.digest:
        return [f"other images, data set {first.name!r} against {second.name!r}"]
    return []


def _restricted(data: DatasetInfo) -> str:
    return f"{data.valid_classes} ({some(data.classes)})" if data.columns else "all"


def _corruptions(a: RunInfo, b: RunInfo, places: tuple[str, str]) -> list[str]:
    found = []
    if a.seed != b.seed:
        found.append(f"seed {a.seed} against {b.seed}")
    if a.severities != b.severities:
        found.append(f"severities {numbers(a.severities)} against {numbers(b.severities)}")
    return found + _suites(a.suites, b.suites, places)


def _suites(a: Iterable[SuiteInfo], b: Iterable[SuiteInfo], places: tuple[str, str]) -> list[str]:
    ours, theirs = ({suite.name: suite for suite in suites} for suites in (a, b))
    found = one_sided("suite", list(ours), list(theirs), places)
    for name in [name for name in ours if name in theirs]:
        one, other = ours[name], theirs[name]
        if one.table != other.table:
            found.append(f"suite {name!r} with constants {one.table} against {other.table}")
        elif changed := [own for own, code in one.code.items() if other.code.get(own, code) != code]:
            found.append(f"suite {name!r} with other code of {some(changed)}")
        elif one.hash != other.hash:
            hashes = f"hash {one.hash[:8]} against {other.hash[:8]}"
            found.append(f"suite {name!r} of another content ({hashes})")
    return found


def _computing(a: RunInfo, b: RunInfo) -> list[str]:
    pairs = {
        "precision": (a.precision or "not recorded", b.precision or "not recorded"),
        "layers": (_probed(a), _probed(b)),
    }
    found = [f"{what} {one} against {other}" for what, (one, other) in pairs.items() if one != other]
    if bool(a.compiled) != bool(b.compiled):
        found.append("compiled networks in one only")
    return found


def _probed(info: RunInfo) -> str:
    return f"measured on {count(info.probe.get('images', 0), 'image')}" if info.probe else "not measured"


def _networks(a: CheckpointInfo, b: CheckpointInfo) -> list[str]:
    pairs = [(key, getattr(a, key), getattr(b, key)) for key in _PREPROCESSING]
    pairs = [pair for pair in pairs if pair[0] != "normalization" or all(pair[1:])]  # older runs: unknown
    return [f"{a.name}: {key} {_shown(x)} against {_shown(y)}" for key, x, y in pairs if x != y]


def one_sided(what: str, a: Sequence[str], b: Sequence[str], places: tuple[str, str]) -> list[str]:
    """Return which names only one of two collections has, a phrase for each side.

    >>> one_sided("checkpoint", ["relu", "elu"], ["relu"], ("the first", "the second"))
    ["checkpoint 'elu' only in the first"]
    """
    found = []
    for own, other, place in ((a, b, places[0]), (b, a, places[1])):
        alone = [name for name in own if name not in set(other)]
        if alone:
            shown = some([repr(name) for name in alone])
            found.append(f"{what}{'s' if len(alone) > 1 else ''} {shown} only in {place}")
    return found


def _cells(cells: pd.DataFrame) -> list[str]:
    rows = cells.loc[cells["severity"] > 0, CELL].drop_duplicates().to_numpy()
    return [f"{corruption}:{severity:g} [{table}]" for table, corruption, severity in rows]


def _shown(value: object) -> str:
    return repr(list(value)) if isinstance(value, tuple) else repr(value)
