"""The part of a unit of work: a damaged one is never read as a whole one."""

import pickle
from pathlib import Path

import pytest

from robustbench_act.records import DamagedPartError
from robustbench_act.records.parts import unpack


def test_every_byte_of_a_part_counts(undisturbed: Path) -> None:
    """One that changes is found, or changes nothing that is read."""
    path = min(undisturbed.glob("parts/*.zip"), key=lambda part: part.stat().st_size)
    data = path.read_bytes()
    whole = unpack(data, path)
    harmless = 0
    places = [*range(200), *range(200, len(data) - 300, 997), *range(len(data) - 300, len(data))]
    for place in places:
        mask = 1 << (place % 8)
        damaged = data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :]
        try:
            found = unpack(damaged, path)
        except DamagedPartError:
            continue
        harmless += 1
        assert all(one.equals(other) for one, other in zip(found, whole, strict=True)), place
    assert harmless < 0.2 * len(places)  # dates and versions in the archive's heads
    for cut in range(0, len(data), 501):
        with pytest.raises(DamagedPartError):
            unpack(data[:cut], path)


def test_a_damaged_part_is_named_by_another_process_too() -> None:
    error = pickle.loads(pickle.dumps(DamagedPartError(Path("a.zip"), "gone")))
    assert (str(error), error.path) == (str(DamagedPartError(Path("a.zip"), "gone")), Path("a.zip"))
