"""`robustbench_act.evaluate`: the Python twin of `actrobust evaluate`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from corruptions import Suite
from robustbench_act.datasets import Data, Dataset
from robustbench_act.english import some
from robustbench_act.errors import StoppedError
from robustbench_act.evaluation.engine import run_plan
from robustbench_act.evaluation.execution import Execution
from robustbench_act.evaluation.given import Given
from robustbench_act.evaluation.looks import check_own_corruptions, with_behaviours
from robustbench_act.evaluation.plan import Plan, adaptations
from robustbench_act.evaluation.request import Look, PlanRequest, leave_out
from robustbench_act.paths import expand
from robustbench_act.progress import choose_bar
from robustbench_act.records import done_units, recorded_checkpoints
from robustbench_act.records.behaviour import notes
from robustbench_act.run import EvaluationFailedError, Run


def evaluate(
    checkpoints: Given | None = None,
    *,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    labels: Mapping[str, str] | None = None,
    dataset: Data = "mnist-1k",
    suites: Sequence[str | Suite] | str | Suite | None = None,
    corruptions: Sequence[str] | str | None = None,
    severities: Sequence[float] | None = None,
    class_order: str | Path | None = None,
    valid_classes: str | Path | Sequence[str | int] | None = None,
    limit: int | None = None,
    skip_unreadable: bool = False,
    download: bool = False,
    seed: int = 0,
    probes: bool = True,
    probe_images: int = 1024,
    allow_random: bool = False,
    imports: Sequence[str] | None = None,
    batch_size: int = 128,
    device: str = "auto",
    precision: str = "fp32",
    compiled: bool = False,
    executor: str = "local",
    processes: int | Literal["auto"] | None = None,
    threads: int | None = None,
    ray_address: str | None = None,
    out: str | Path | None = None,
    resume: bool = True,
    progress: bool = True,
    command: str = "robustbench_act.evaluate(...)",
    on_start: Callable[[Plan, Path], Callable[[int], None]] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Run:
    """Put the same corrupted images before each checkpoint and write a run directory.

    Parameters
    ----------
    checkpoints
        Files, folders, globs, modules (`torch.nn.Module`) or `Checkpoint` objects, one or a list; or a
        dictionary of modules by their activations, ``{"GatedCube": [m1, m2, m3], "la_silu": [...]}``; by
        default the embedded networks. Modules are copied, see `Checkpoint.of`: they stay as they are.
    mean, std
        On the [0, 1] scale, a number or one for each channel, for all but `Checkpoint` objects. Modules need
        them.
    labels
        What tables call the "architecture", "group" or "activation" of all but `Checkpoint` objects: networks
        are compared within one architecture.
    dataset
        What `load_dataset` takes, a `Dataset`, images and labels, or a map-style data set of torch: see
        `robustbench_act.datasets.as_dataset`.
    suites
        Suites (`corruptions.Suite`) or their names (`corruptions.list_suites()`). By default c19 and shift,
        or, for a data set with corrupted versions in files (`Dataset.stored`), only these.
    corruptions
        Names of corruptions (`corruptions.list_corruptions()`), wildcards too: the members of a suite that
        comes after `suites`, or alone.
    severities
        Severities of every corruption, in [1, 5]. By default those of the suites or files, else 1 to 5.
    class_order
        The order of the classes, see `load_dataset`.
    valid_classes
        Restrict images and answers to some classes: "present" (those that have images), a file with a name in
        each line, or names; see `robustbench_act.datasets.with_valid_classes`.
    limit
        Evaluate on this many images, classes in the proportions of the whole (stratified).
    skip_unreadable
        Leave out pictures that cannot be read (run.json names them) instead of refusing the set.
    download
        Let torchvision download missing files of the data set.
    seed
        Seed of the corruptions.
    probes
        Whether to measure the activation layers.
    probe_images
        On how many images, stratified: a multiple of 256.
    allow_random
        Evaluate networks that give different answers to the same images too; seeds fix their random numbers.
    imports
        Modules of yours to import first, as "mine.acts": they register activations, and files that were
        trained with what these modules define can be loaded.
    batch_size
        Images per forward pass; changes no pixel, and a row only of networks that are random.
    device
        "auto", "cpu", "cuda" or "cuda:i".
    precision, compiled, executor, processes, threads, ray_address
        How to compute: see `Execution`.
    out
        Run directory; by default `runs/<date>-<time>`, with a number if another run has that folder.
    resume
        Continue an unfinished run of the same plan in `out`.
    progress
        Show progress in a notebook or a terminal; elsewhere nothing is shown.
    command
        Command line, for the record in run.json.
    on_start
        Called with the plan and the directory once everything is checked and loaded; it returns a function
        that is then called with each number of images done. It replaces the progress that is shown.
    on_note
        Called with surprises that change no number; by default they are shown with the progress, or are
        warnings in the log if none is shown.

    Returns
    -------
    Run
        With the tables `cells` and `layers`. Checkpoints that failed have rows with an `error`; `on_note` is
        told of each.

    Raises
    ------
    InputError
        Before anything is written; later for pictures that cannot be read when their turn comes, and for an
        image that does not fit into memory. Finished units are kept.
    EvaluationFailedError
        Every checkpoint failed; the error has the finished run as `run`.
    StoppedError
        A KeyboardInterrupt, or the stop button of a notebook. Finished units are kept; the message says how
        to continue.
    """
    given = {"mean": mean, "std": std, "labels": labels}
    request = PlanRequest(
        checkpoints=checkpoints,
        spec={name: value for name, value in given.items() if value is not None},
        dataset=dataset,
        suites=suites,
        corruptions=corruptions,
        severities=severities,
        class_order=class_order,
        valid_classes=valid_classes,
        limit=limit,
        skip_unreadable=skip_unreadable,
        download=download,
        seed=seed,
        probes=probes,
        probe_images=probe_images,
        allow_random=allow_random,
        imports=imports,
    )
    execution = Execution.of(
        device=device,
        batch_size=batch_size,
        precision=precision,
        compiled=compiled,
        executor=executor,
        processes=processes,
        threads=threads,
        ray_address=ray_address,
    )
    bar = choose_bar(progress and on_start is None, log=execution.on_note)
    note, started = on_note or bar.note, list[tuple[Plan, Path]]()

    def start(plan: Plan, out: Path) -> Callable[[int], None]:
        started.append((plan, out))
        return on_start(plan, out) if on_start is not None else bar.start("evaluating", plan.passes)

    def look(data: Dataset, skip: bool) -> Dataset:
        if data.order_doubt:
            note(f"{data.name}: {data.order_doubt}.")
        return leave_out(data, skip)

    try:
        with bar:
            run = run_request(
                replace(request, on_items=bar.start),
                replace(execution, on_note=note),
                out,
                resume=resume,
                command=command,
                on_start=start,
                look=look,
            )
    except KeyboardInterrupt:
        raise StoppedError(f"Interrupted: {_kept(started)}") from None
    if run.cells["error"].notna().all():
        raise EvaluationFailedError(run)
    for row in run.failures().itertuples():
        note(f"{row.checkpoint} failed in {row.failed_cells} cells: {row.error}.")
    return run


def _kept(started: Sequence[tuple[Plan, Path]]) -> str:
    """Return how much of a run is done, and how to continue it."""
    if not started:
        return "nothing was started."
    ((plan, out),) = started
    done = f"{done_units(out)} of {plan.unit_count} units are kept"
    return f'{done}; the same call with out="{out}" continues.'


def run_request(
    request: PlanRequest,
    execution: Execution,
    out: str | Path | None,
    *,
    resume: bool,
    command: str,
    on_start: Callable[[Plan, Path], Callable[[int], None]] | None = None,
    look: Look = leave_out,
) -> Run:
    """Do what is asked for and return the run; see `evaluate`, and `PlanRequest.plan` for `look`."""
    plan = request.plan(look)
    directory = expand(out) if out else _new_directory()
    execution = execution.for_plan(plan)
    with execution.new_crew() as crew:
        return _run(
            request,
            replace(execution, crew=crew),
            plan,
            directory,
            resume=resume,
            command=command,
            on_start=on_start,
        )


def _run(
    request: PlanRequest,
    execution: Execution,
    plan: Plan,
    directory: Path,
    *,
    resume: bool,
    command: str,
    on_start: Callable[[Plan, Path], Callable[[int], None]] | None,
) -> Run:
    check_own_corruptions(plan, execution)
    plan = with_behaviours(
        plan,
        execution,
        allow_random=request.allow_random,
        known=recorded_checkpoints(directory) if resume else (),
    )
    said = [*adaptations(plan.checkpoints, plan.dataset), *notes(plan.behaviours)]
    graphs = [one.name for one in plan.checkpoints if one.is_onnx]
    if graphs and execution.device.type != "cpu":
        said.append(f"{some(graphs)}: onnxruntime computes on the CPU, not on {execution.device.type}.")
    for text in said:
        execution.on_note(text)
    if on_start:
        execution = replace(execution, on_images=on_start(plan, directory))
    return run_plan(plan, execution, directory, command=command, resume=resume)


def _new_directory() -> Path:
    """Make a folder named by the time; those of runs that start in the same second get a number."""
    name = datetime.now().strftime("%Y%m%d-%H%M%S")
    path, number = Path("runs") / name, 1
    while True:
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            number += 1
            path = path.with_name(f"{name}-{number}")
        else:
            return path


def make_plan(checkpoints: Given | None = None, **options: Any) -> Plan:
    """Return what `evaluate` would do, checked and loaded; nothing is written.

    Options are those of `PlanRequest`.
    """
    return PlanRequest(checkpoints=checkpoints, **options).plan()
