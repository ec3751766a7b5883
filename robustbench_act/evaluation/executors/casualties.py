"""Units whose workers died: done again, then network by network, so that one takes no others with it."""

from collections import Counter
from dataclasses import dataclass, field, replace

import pandas as pd

from robustbench_act.evaluation.work import Job, Result, Task
from robustbench_act.evaluation.worker import failed_result
from robustbench_act.records import Part, pack
from robustbench_act.records.parts import unpack_bytes


@dataclass
class _Split:
    """A unit that is done network by network."""

    task: Task
    results: dict[str, Result | None]


@dataclass
class Casualties:
    """The units to be done again: `again`, to be given to workers before all others.

    A unit may kill its worker `attempts` times; `reason` is the error of the cells that are then given up.
    """

    job: Job
    attempts: int
    reason: str
    again: list[Task] = field(default_factory=list)
    _deaths: Counter[str] = field(default_factory=Counter)
    _splits: dict[str, _Split] = field(default_factory=dict)  # by the key of each of its networks' units

    def died(self, task: Task) -> Result | None:
        """Take a unit whose worker died; return a result if this settles the last piece of one."""
        self._deaths[task.key] += 1
        if self._deaths[task.key] < self.attempts:
            self.again.append(task)
            return None
        if len(task.unit.checkpoints) > 1:
            self._split(task)
            return None
        return self.lived(failed_result(self.job, task, self.reason))

    def lived(self, result: Result) -> Result | None:
        """Take a result; return it, or that of the whole unit if it is the last piece of a split one."""
        split = self._splits.pop(result.key, None)
        if split is None:
            return result
        split.results[result.key] = result
        found = [one for one in split.results.values() if one is not None]
        return _joined(split.task, found) if len(found) == len(split.results) else None

    def _split(self, task: Task) -> None:
        places = task.unit.checkpoints
        tasks = [
            replace(
                task,
                key=f"{task.key}/{place}",
                unit=replace(task.unit, checkpoints=range(place, place + 1)),
            )
            for place in places
        ]
        split = _Split(task, dict.fromkeys([one.key for one in tasks]))
        self._splits |= dict.fromkeys(split.results, split)
        self.again += tasks


def _joined(task: Task, results: list[Result]) -> Result:
    """Return the result of a unit that was done network by network."""
    parts = [unpack_bytes(one.part) for one in results]
    cells, layers = (
        pd.concat(frames, ignore_index=True)
        if (frames := [one for one in table if len(one)])
        else pd.DataFrame()
        for table in zip(*parts, strict=True)
    )
    return Result(
        task.key,
        task.unit,
        sum(one.images for one in results),
        pack(Part(cells, layers)),
        {name: png for one in results for name, png in one.thumbnails.items()},
        tuple(note for one in results for note in one.notes),
        provisional=any(one.provisional for one in results),
    )
