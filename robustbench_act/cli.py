"""The `actrobust` command: the one place that knows the engine and the reports.

Exit codes: 0 all fine; 1 something failed and is named in the output; 2 wrong usage or input, nothing
written.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

import reports
import robustbench_act
from reports import tables
from robustbench_act import metrics
from robustbench_act.options import checkpoint_options, load_named, parse_cell, parse_numbers

QUICK_IMAGES = 60  # with 3 severities, what two cores do in 80 seconds with the embedded checkpoints
QUICK_SEVERITIES = (1.0, 3.0, 5.0)


class _Group(click.Group):
    """Turns the toolkit's input errors into one line and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        from robustbench_act.errors import InputError  # noqa: PLC0415 - `--help` stays quick

        try:
            return super().invoke(ctx)
        except (InputError, reports.ReportError) as error:
            raise click.UsageError(" ".join(str(error).split())) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(robustbench_act.__version__, prog_name="actrobust")
def main() -> None:
    """How robust trained image classifiers are to noise, and why."""


@main.command()
@click.option("--dataset", required=True, metavar="NAME[:ROOT]", help="Training data: digits, mnist:ROOT.")
@click.option("--arch", default="cifar:resnet8?width=8", show_default=True, help="Architecture string.")
@click.option("--activation", default="relu", show_default=True, help="Comma-separated names, or 'all'.")
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(1), help="Training seeds 1 to N.")
@click.option("--epochs", default=2, show_default=True, type=click.IntRange(1))
@click.option("--batch-size", default=128, show_default=True, type=click.IntRange(2))
@click.option(
    "--lr", default=0.1, show_default=True, help="Learning rate; /10 after 1/2 and 3/4 of the steps."
)
@click.option("--momentum", default=0.9, show_default=True)
@click.option("--weight-decay", default=1e-4, show_default=True)
@click.option("--augment", default="none", show_default=True, help="none, crop or crop-flip.")
@click.option("--limit", type=click.IntRange(1), help="Train on a balanced subset of N images.")
@click.option(
    "--track",
    metavar="EPOCHS",
    help="Probe the layers after these epochs, 0,1,last or all: NAME.track.parquet beside the checkpoint.",
)
@click.option("--download", is_flag=True, help="Let torchvision download what is missing.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:i.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="[default: runs/train-DATASET]")
def train(
    *,
    dataset: str,
    arch: str,
    activation: str,
    seeds: int,
    limit: int | None,
    track: str | None,
    download: bool,
    device: str,
    out: Path | None,
    **recipe_flags: Any,
) -> None:
    """Train a grid of activations x seeds; finished checkpoints are kept and skipped next time."""
    from robustbench_act import training  # noqa: PLC0415 - torch takes seconds to load
    from robustbench_act.activations import list_activations  # noqa: PLC0415
    from robustbench_act.datasets import load_dataset  # noqa: PLC0415
    from robustbench_act.devices import choose_device  # noqa: PLC0415
    from robustbench_act.terminal import count, progress_bar  # noqa: PLC0415

    recipe = training.Recipe(**recipe_flags)
    epochs = training.parse_epochs(track, recipe.epochs) if track is not None else ()
    names = list_activations() if activation == "all" else [name.strip() for name in activation.split(",")]
    out = out or Path("runs") / f"train-{dataset.partition(':')[0]}"
    jobs = training.plan_grid(names, range(1, seeds + 1), out)
    where = choose_device(device)
    data = load_dataset(dataset, train=True, download=download)
    data = data.subset(limit) if limit else data
    test = load_dataset(dataset, download=download)
    todo = [
        job
        for job in jobs
        if not training.is_trained(job, architecture=arch, train=data, recipe=recipe, tracked=bool(epochs))
    ]
    for job in jobs:
        if job not in todo:
            click.echo(f"{job.path.stem:<16} is there already")
    steps = training.step_count(data, recipe)
    try:
        with progress_bar() as progress:
            bar = progress.add_task("training", total=len(todo) * steps * recipe.batch_size)
            for job in todo:
                progress.update(bar, description=job.path.stem)
                started = time.monotonic()
                spec = training.train_checkpoint(
                    job,
                    architecture=arch,
                    train=data,
                    test=test,
                    recipe=recipe,
                    device=where,
                    track=epochs,
                    on_step=lambda: progress.advance(bar, recipe.batch_size),
                )
                seconds = time.monotonic() - started
                click.echo(f"{job.path.stem:<16} {spec.clean_accuracy:7.2%} clean accuracy  {seconds:5.0f} s")
    except KeyboardInterrupt:
        done = sum(job.path.exists() for job in jobs)
        click.echo(
            f"Interrupted: {done} of {len(jobs)} checkpoints are complete in {out}; run again to go on.",
            err=True,
        )
        sys.exit(130)
    click.echo(f"{count(jobs, 'checkpoint')} in {out}")


@main.command()
@click.argument("checkpoints", nargs=-1, metavar="[CHECKPOINT|FOLDER|GLOB]...")
@checkpoint_options
@click.option("--dataset", default="mnist-1k", show_default=True, metavar="NAME[:ROOT]")
@click.option(
    "--suite", "suites", multiple=True, metavar="NAME", help="May be repeated.  [default: c19, shift]"
)
@click.option("--severity", metavar="1,3,5", help="Severities in [1, 5].  [default: 1,2,3,4,5]")
@click.option("--limit", type=click.IntRange(1), help="Evaluate on a balanced subset of N images.")
@click.option("--full", is_flag=True, help="With the embedded checkpoints: every image and severity.")
@click.option("--batch-size", default=128, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True, help="Seed of the corruptions.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:i.")
@click.option("--out", type=click.Path(path_type=Path), help="Run directory.  [default: runs/DATE-TIME]")
@click.option(
    "--resume/--no-resume", default=True, show_default=True, help="Go on with an unfinished run in --out."
)
@click.option("--probes/--no-probes", default=True, show_default=True, help="Watch the activation layers.")
@click.option("--report", type=click.Choice(["html", "none"]), default="html", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the leaderboard as JSON.")
def evaluate(
    *,
    checkpoints: tuple[str, ...],
    model: str | None,
    activation: str | None,
    classes: int | None,
    input_size: str | None,
    mean: str | None,
    std: str | None,
    dataset: str,
    severity: str | None,
    limit: int | None,
    full: bool,
    suites: tuple[str, ...],
    report: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Put the same corrupted images before each checkpoint; write tables and a report.

    Without CHECKPOINT, the networks that ship with the package are evaluated on a quick selection of images
    and severities (--full takes all).
    """
    from robustbench_act import evaluation  # noqa: PLC0415 - torch takes seconds to load
    from robustbench_act.datasets import load_dataset  # noqa: PLC0415
    from robustbench_act.terminal import EvaluationProgress  # noqa: PLC0415

    quick = not checkpoints and not full
    severities = parse_numbers("--severity", severity) or (
        QUICK_SEVERITIES if quick else evaluation.ALL_SEVERITIES
    )
    data = load_dataset(dataset)
    spec = {"activation": activation, "classes": classes, "input_size": input_size, "mean": mean, "std": std}
    loaded = load_named(checkpoints, model, data, spec) if checkpoints else None
    started = time.monotonic()
    with EvaluationProgress(quick=quick and not limit) as progress:
        run = evaluation.evaluate(
            loaded,
            dataset=data,
            suites=suites or evaluation.DEFAULT_SUITES,
            severities=severities,
            limit=limit or (QUICK_IMAGES if quick else None),
            command=" ".join(["actrobust", *sys.argv[1:]]),
            on_start=progress.start,
            **options,
        )
    page = reports.write_html(run.path) if report == "html" else None
    _show(run, page, as_json=as_json, seconds=time.monotonic() - started)
    if run.cells["error"].notna().any():
        sys.exit(1)


@main.command()
@click.argument("checkpoints", nargs=-1, required=True, metavar="CHECKPOINT|FOLDER|GLOB...")
@checkpoint_options
@click.option("--dataset", default="mnist-1k", show_default=True, metavar="NAME[:ROOT]")
@click.option("--limit", default=256, show_default=True, type=click.IntRange(1), help="Images, balanced.")
@click.option(
    "--shift",
    default="shift_gaussian:3",
    show_default=True,
    metavar="NAME:SEVERITY",
    help="Corruption or input shift of the images.",
)
@click.option(
    "--inject",
    metavar="NAME:SCALE",
    help="Shift the input of each activation layer in turn instead: gaussian:0.1.",
)
@click.option("--gradients", is_flag=True, help="Variance of the gradient at each layer, on clean images.")
@click.option("--train-mode", is_flag=True, help="The gradients as in training: batch statistics, dropout.")
@click.option("--batch-size", default=128, show_default=True, type=click.IntRange(2))
@click.option("--seed", default=0, show_default=True, help="Seed of the shift.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:i.")
@click.option("--json", "as_json", is_flag=True, help="Print every column as JSON.")
def probe(
    *,
    checkpoints: tuple[str, ...],
    model: str | None,
    dataset: str,
    limit: int,
    shift: str,
    gradients: bool,
    train_mode: bool,
    device: str,
    as_json: bool,
    inject: str | None,
    batch_size: int,
    seed: int,
    **spec: Any,
) -> None:
    """Show what a shift does inside every activation layer of each checkpoint."""
    from robustbench_act.datasets import load_dataset  # noqa: PLC0415 - torch takes seconds to load
    from robustbench_act.devices import choose_device  # noqa: PLC0415
    from robustbench_act.evaluation import probe_layers  # noqa: PLC0415
    from robustbench_act.terminal import print_layers, progress_bar  # noqa: PLC0415

    if train_mode and not gradients:
        raise click.UsageError("--train-mode: says how --gradients are taken; give both.")
    cell = parse_cell(shift)
    where = choose_device(device)
    data = load_dataset(dataset).subset(limit)
    answers = []
    with progress_bar() as progress:
        bar = progress.add_task("probing", total=None)
        for checkpoint in load_named(checkpoints, model, data, spec):
            table = probe_layers(
                checkpoint,
                data,
                cell=cell,
                inject=inject,
                gradients=gradients,
                training=train_mode,
                seed=seed,
                batch_size=batch_size,
                device=where,
                on_images=lambda images: progress.advance(bar, images),
            )
            if as_json:
                rows = json.loads(table.to_json(orient="records", double_precision=15))
                answers.append({"checkpoint": checkpoint.name, "layers": rows})
            else:
                what = f"{inject} at each layer's input" if inject else shift
                print_layers(table, f"{checkpoint.name}: {len(data)} images of {data.name}, {what}")
    if as_json:
        click.echo(json.dumps(answers, indent=1))


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
def report(run: Path) -> None:
    """Write RUN/report.html again from the tables of a finished run."""
    click.echo(reports.write_html(run))


@main.command()
@click.argument("dataset", metavar="DATASET[:ROOT]")
@click.option("--suite", default="c15", show_default=True, metavar="NAME", help="Corruptions of pixels.")
@click.option("--severity", metavar="1,3,5", help="Severities in [1, 5].  [default: 1,2,3,4,5]")
@click.option("--layout", type=click.Choice(["npy", "folders"]), default="npy", show_default=True)
@click.option("--limit", type=click.IntRange(1), help="Take a balanced subset of N images.")
@click.option("--seed", default=0, show_default=True, help="Seed of the corruptions.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:i.")
@click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write."
)
def generate(
    *,
    dataset: str,
    suite: str,
    severity: str | None,
    layout: Any,
    limit: int | None,
    seed: int,
    device: str,
    out: Path,
) -> None:
    """Write a corrupted copy of DATASET, as CIFAR-C (npy) or ImageNet-C (folders) has it.

    The pixels are those of an evaluation with the same seed. Run again to go on after an interruption.
    """
    from corruptions import get_suite  # noqa: PLC0415 - torch takes seconds to load
    from robustbench_act import generation  # noqa: PLC0415
    from robustbench_act.datasets import load_dataset  # noqa: PLC0415
    from robustbench_act.devices import choose_device  # noqa: PLC0415
    from robustbench_act.terminal import count, progress_bar  # noqa: PLC0415

    where = choose_device(device)
    chosen = get_suite(suite)
    severities = parse_numbers("--severity", severity)
    chosen = chosen.with_severities(severities) if severities else chosen
    data = load_dataset(dataset)
    data = data.subset(limit) if limit else data
    wanted = generation.Generation(data, chosen, seed=seed, layout=layout)
    click.echo(
        f"{count(chosen.cells, 'cell')} x {len(data)} images of {data.name}, {wanted.size / 1e6:,.1f} MB"
        f"  ->  {out}",
        err=True,
    )
    with progress_bar() as progress:
        bar = progress.add_task("generating", total=len(chosen.cells) * len(data))
        generation.generate(wanted, out, device=where, on_images=lambda images: progress.advance(bar, images))
    click.echo(out)


@main.command(name="list")
def list_names() -> None:
    """List activations, corruptions, suites, datasets and architectures."""
    from corruptions import GROUPS, get_corruption, get_suite, list_corruptions, list_suites  # noqa: PLC0415
    from robustbench_act.activations import activation_facts, list_activations  # noqa: PLC0415
    from robustbench_act.datasets import list_datasets  # noqa: PLC0415
    from robustbench_act.models import list_architectures  # noqa: PLC0415

    click.echo("Activations")
    for name in list_activations():
        click.echo(f"  {name:<12} {activation_facts(name).formula}")
    click.echo("Corruptions")
    for group in GROUPS:
        names = [name for name in list_corruptions() if get_corruption(name).group == group]
        if names:
            click.echo(f"  {group:<12} {', '.join(names)}")
    click.echo("Suites")
    for name in list_suites():
        click.echo(f"  {name:<12} {', '.join(get_suite(name).corruptions)}")
    click.echo(f"Datasets\n  {', '.join(list_datasets())}")
    ours = [name for name in list_architectures() if name.startswith("cifar:")]
    click.echo(f"Architectures\n  {', '.join(ours)}, torchvision:NAME, package.module:factory")


def _show(run: Any, page: Path | None, *, as_json: bool, seconds: float) -> None:
    from robustbench_act.activations import activation_facts, list_activations  # noqa: PLC0415
    from robustbench_act.terminal import print_leaderboard  # noqa: PLC0415

    board = metrics.leaderboard(run.cells)
    failed = tables.failures(run.cells)
    if as_json:
        answer = {
            "run": str(run.path),
            "report": str(page) if page else None,
            "leaderboard": json.loads(board.to_json(orient="records", double_precision=15)),
            "failed": json.loads(failed.to_json(orient="records")),
        }
        click.echo(json.dumps(answer, indent=1))
        return
    labels = {name: activation_facts(name).label for name in list_activations()}
    if len(board):
        print_leaderboard(board, labels)
    for row in failed.to_dict("records"):
        click.echo(f"failed: {row['checkpoint']}: {row['error']}")
    click.echo(f"{page or run.path}  ({seconds:.0f} s)")


if __name__ == "__main__":
    main()
