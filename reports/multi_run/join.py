"""Several runs side by side: one `Run` of all their checkpoints."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from reports.names import named_run, of_run
from robustbench_act.comparability import compare_setups
from robustbench_act.errors import InputError
from robustbench_act.metrics import COHORT
from robustbench_act.paths import distinct_names
from robustbench_act.run import Run

_COMMON = (
    "command", "checkpoints", "dataset", "suites", "severities", "tables", "writer", "status", "notes",
    "sources",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Joined(Run):
    """Several runs as one; what is said of images and corruptions is the first one's.

    Attributes
    ----------
    members
        The runs by their names, with activations and checkpoints as they are called here.
    """

    members: Mapping[str, Run] = field(default_factory=dict)

    @property
    def run_of(self) -> dict[str, str]:
        """The run of each checkpoint."""
        return {
            str(checkpoint): name
            for name, run in self.members.items()
            for checkpoint in run.cells["checkpoint"].unique()
        }

    @property
    def unlike(self) -> dict[str, dict[str, Any]]:
        """The settings in which the runs differ, run by run."""
        infos = {name: run.info.to_json() for name, run in self.members.items()}
        keys = dict.fromkeys(key for info in infos.values() for key in info if key not in _COMMON)
        values = {key: {name: info.get(key) for name, info in infos.items()} for key in keys}
        return {key: own for key, own in values.items() if not _alike(list(own.values()))}


def join(runs: Sequence[Run]) -> Run:
    """Return one run of all the checkpoints; a single run as it is.

    Activations that several runs have are told apart, "relu ⟨2⟩ new" from "relu ⟨1⟩ old", and so are
    checkpoints of one name.

    Parameters
    ----------
    runs
        Their folders name them. The first is what the others are compared with.

    Raises
    ------
    InputError
        Runs on other images, or with other corruptions, severities or seeds: their numbers are not alike.
    """
    if not runs:
        raise InputError("Expected at least one run, got none.")
    paths = [run.path.resolve() for run in runs]
    ((path, count),) = Counter(paths).most_common(1)
    if count > 1:
        raise InputError(f"Expected different runs, got {path} {count} times.")
    first, *others = runs
    if not others:
        return first
    among = pd.concat([run.cells for run in runs])
    first, *others = runs = [named_run(run, among=among) for run in runs]
    for other in others:
        if refusal := compare_setups(first, other, pairs=()).refusal(f"{first.path} and {other.path}"):
            raise InputError(refusal)
    members = _renamed(dict(zip(distinct_names(paths), runs, strict=True)))
    commands = (f"# {name}\n{run.info.command or 'not recorded'}" for name, run in members.items())
    layers = [run.layers for run in members.values() if len(run.layers)]
    return Joined(
        path=first.path,
        info=replace(
            first.info,
            command="\n".join(commands),
            checkpoints=tuple(entry for run in members.values() for entry in run.info.checkpoints),
            sources=tuple(source for run in runs for source in run.info.sources),
        ),
        cells=pd.concat([run.cells for run in members.values()], ignore_index=True),
        layers=pd.concat(layers or [first.layers], ignore_index=True),
        images=first.images,
        members=members,
    )


def _alike(values: Sequence[Any]) -> bool:
    return all(value == values[0] for value in values)


def _renamed(runs: Mapping[str, Run]) -> dict[str, Run]:
    """Return runs whose activations and checkpoints are told apart from those of the others."""
    cohorts = Counter(
        pair for run in runs.values() for pair in set(run.cells[COHORT].itertuples(index=False, name=None))
    )
    checkpoints = Counter(name for run in runs.values() for name in run.cells["checkpoint"].unique())

    def checkpoint(own: str, name: str) -> str:
        return f"{own} · {name}" if checkpoints[own] > 1 else own

    def table(own: pd.DataFrame, place: int, name: str) -> pd.DataFrame:
        if own.empty:
            return own
        pairs = zip(own["architecture"], own["activation"], strict=True)
        activations = [of_run(pair[1], place, name) if cohorts[pair] > 1 else pair[1] for pair in pairs]
        return own.assign(
            activation=activations, checkpoint=[checkpoint(own_name, name) for own_name in own["checkpoint"]]
        )

    return {
        name: replace(
            run,
            info=replace(
                run.info,
                checkpoints=tuple(
                    replace(entry, name=checkpoint(entry.name, name)) for entry in run.info.checkpoints
                ),
            ),
            cells=table(run.cells, place, name),
            layers=table(run.layers, place, name),
        )
        for place, (name, run) in enumerate(runs.items(), start=1)
    }
