"""`robustbench_act.evaluate`: the Python twin of `actrobust evaluate`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Literal

from robustbench_act.checkpoints import (
    Checkpoint,
    common_view,
    find_checkpoints,
    load_checkpoints,
    wanted_view,
)
from robustbench_act.datasets import Dataset, load_dataset
from robustbench_act.evaluation.engine import run_plan
from robustbench_act.evaluation.execution import Execution
from robustbench_act.evaluation.plan import Plan
from robustbench_act.records import Run
from robustbench_act.view import View

DEFAULT_SUITES = ("c19", "shift")
ALL_SEVERITIES = (1.0, 2.0, 3.0, 4.0, 5.0)
BATCH_SIZE = 128


def evaluate(
    checkpoints: Sequence[str | Path | Checkpoint] | None = None,
    *,
    dataset: str | Dataset = "mnist-1k",
    suites: Sequence[str] | None = None,
    severities: Sequence[float] | None = None,
    limit: int | None = None,
    skip_unreadable: bool = False,
    seed: int = 0,
    probes: bool = True,
    batch_size: int = BATCH_SIZE,
    device: str = "auto",
    precision: str = "fp32",
    compiled: bool = False,
    executor: str = "local",
    processes: int | Literal["auto"] | None = None,
    threads: int | None = None,
    ray_address: str | None = None,
    out: str | Path | None = None,
    resume: bool = True,
    command: str = "robustbench_act.evaluate(...)",
    on_start: Callable[[Plan, Path], Callable[[int], None]] | None = None,
    on_note: Callable[[str], None] = Execution.on_note,
) -> Run:
    """Put the same corrupted images before each checkpoint and write a run directory.

    Parameters
    ----------
    checkpoints
        Files, folders, globs or loaded `Checkpoint` objects; the embedded ones where left out.
    dataset
        A `Dataset`, or what `load_dataset` takes.
    suites
        Names of corruption suites (`corruptions.list_suites()`). Left out: c19 and shift, or, where the data
        set has corrupted versions in files (`Dataset.stored`), these alone.
    severities
        Severities of every corruption, in [1, 5]. Left out: 1 to 5, or those of the files.
    limit
        Evaluate on a balanced subset of so many images.
    skip_unreadable
        Leave out pictures that cannot be read (run.json names them) instead of refusing the set.
    seed
        Seed of the corruptions.
    probes
        Whether to watch the activation layers.
    batch_size
        Images that go through a network at once; changes no pixel and no row.
    device
        "auto", "cpu", "cuda" or "cuda:i".
    precision, compiled, executor, processes, threads, ray_address
        How to compute: see `Execution`.
    out
        Run directory; `runs/<date>-<time>` where left out.
    resume
        Go on with an unfinished run of the same plan in `out`.
    command
        For the record in run.json.
    on_start
        Called with the plan and the directory once everything is checked and loaded; what it returns is
        called with each number of images done.
    on_note
        See `Execution`.

    Returns
    -------
    Run
        With the tables `cells` and `layers`. Checkpoints that failed have rows with an `error`.

    Raises
    ------
    InputError
        Before anything is written; later for pictures that cannot be read when their turn comes, and for an
        image that does not fit into memory: what is done by then is kept.
    """
    execution = Execution.of(
        device=device,
        batch_size=batch_size,
        precision=precision,
        compiled=compiled,
        executor=executor,
        processes=processes,
        threads=threads,
        ray_address=ray_address,
        on_note=on_note,
    )
    plan = make_plan(
        checkpoints,
        dataset=dataset,
        suites=suites,
        severities=severities,
        limit=limit,
        skip_unreadable=skip_unreadable,
        seed=seed,
        probes=probes,
    )
    directory = Path(out) if out else Path("runs") / datetime.now().strftime("%Y%m%d-%H%M%S")
    execution = execution.for_plan(plan)
    if on_start:
        execution = replace(execution, on_images=on_start(plan, directory))
    return run_plan(plan, execution, directory, command=command, resume=resume)


def make_plan(
    checkpoints: Sequence[str | Path | Checkpoint] | None = None,
    *,
    dataset: str | Dataset = "mnist-1k",
    suites: Sequence[str] | None = None,
    severities: Sequence[float] | None = None,
    limit: int | None = None,
    skip_unreadable: bool = False,
    seed: int = 0,
    probes: bool = True,
) -> Plan:
    """Return what `evaluate` would do with these arguments, checked and loaded; nothing is written.

    Parameters and errors are those of `evaluate`.
    """
    loaded, paths = _named(checkpoints)
    if isinstance(dataset, str):
        dataset = _shown(load_dataset(dataset), loaded, paths)
    data = dataset if limit is None else dataset.subset(limit)
    if suites is None:
        suites = () if data.stored is not None else DEFAULT_SUITES
    if severities is None:
        stored = data.stored.severities if data.stored is not None and not suites else None
        severities = stored or ALL_SEVERITIES
    return Plan(
        checkpoints=loaded + load_checkpoints(paths),
        dataset=data.readable() if skip_unreadable else data,
        suites=tuple(dict.fromkeys(suites)),
        severities=tuple(sorted({float(severity) for severity in severities})),
        seed=seed,
        probes=probes,
    )


def _shown(data: Dataset, loaded: Sequence[Checkpoint], paths: Sequence[Path]) -> Dataset:
    """Return the pictures of a set as the checkpoints want them."""
    if data.view is None:
        return data
    wanted: list[tuple[str | Path, View | None]] = [(one.path, one.spec.view) for one in loaded]
    wanted += [(path, wanted_view(path, classes=data.class_count)) for path in paths]
    view = common_view(wanted)
    return data if view is None else data.with_view(view)


def _named(
    checkpoints: Sequence[str | Path | Checkpoint] | None,
) -> tuple[list[Checkpoint], list[Path]]:
    """Return those that are loaded, and the files of the others; the embedded ones where none is named."""
    if checkpoints is None:
        with resources.as_file(resources.files("robustbench_act") / "assets" / "checkpoints") as folder:
            return [], find_checkpoints([folder])
    paths = [item for item in checkpoints if not isinstance(item, Checkpoint)]
    return [item for item in checkpoints if isinstance(item, Checkpoint)], find_checkpoints(paths)
