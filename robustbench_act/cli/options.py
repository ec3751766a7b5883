"""Options that commands share, and what their texts mean. Loads without torch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import click

Command: TypeAlias = Callable[..., None]


def checkpoint_options(command: Command) -> Command:
    """Add what says about a checkpoint what its file may not; `inputs.load_inputs` takes it."""
    return _with(
        command,
        click.option(
            "--model",
            metavar="ARCH",
            help="Architecture, where a checkpoint does not say it: cifar:resnet20, torchvision:NAME, "
            "timm:NAME, module:function.",
        ),
        click.option("--mean", metavar="M,...", help="Mean per channel on the [0, 1] scale, likewise."),
        click.option("--std", metavar="S,...", help="Standard deviation per channel, likewise."),
        click.option(
            "--activation", metavar="NAME", help="Activation to put in.  [default: what --model has]"
        ),
        click.option(
            "--classes", type=click.IntRange(2), help="Number of classes.  [default: the data set's]"
        ),
        click.option("--input-size", metavar="C,H,W", help="Image size.  [default: the data set's]"),
        click.option(
            "--weights", metavar="KEY", help="Key that holds the weights in a file: state_dict_ema."
        ),
        click.option(
            "--manifest",
            type=click.Path(path_type=Path),
            is_eager=True,
            expose_value=False,
            callback=_take_manifest,
            metavar="FILE",
            help="TOML with checkpoints, data and options; flags come first. See `actrobust manifest`.",
        ),
    )


def data_options(command: Command) -> Command:
    """Add what says which images, and how they are shown; `inputs.load_inputs` takes it."""
    return _with(
        view_options(command),
        click.option(
            "--dataset",
            default="mnist-1k",
            show_default=True,
            metavar="NAME[:ROOT]",
            help="As `actrobust list` names them: folder:DIR, npz:FILE, imagenet:DIR, module:function.",
        ),
        click.option(
            "--corrupted",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="Corrupted versions of the images in files: CIFAR-10-C's layout, ImageNet-C's or MNIST-C's.",
        ),
        click.option(
            "--resize-corrupted", is_flag=True, help="Resize and crop corrupted pictures in files too."
        ),
        click.option("--skip-unreadable", is_flag=True, help="Leave out pictures that cannot be read."),
        click.option("--limit", type=click.IntRange(1), help="A balanced subset of N images."),
    )


def take_formats(_: click.Context, option: click.Parameter, value: str) -> tuple[str, ...]:
    """Take formats of a report, "html,pdf", as names, each once; "none" where the option's help has it."""
    none = "none" in (getattr(option, "help", None) or "")
    if none and value == "none":
        return ()
    names = tuple(dict.fromkeys(name.strip() for name in value.split(",")))
    if not set(names) <= {"html", "pdf"}:
        expected = f"html, pdf{',' if none else ' or'} html,pdf{' or none' if none else ''}"
        raise click.BadParameter(f"expected {expected}, got {value!r}.")
    return names


def plan_options(command: Command) -> Command:
    """Add what says which cells of which images; `inputs.take_plan` takes it."""
    return _with(
        data_options(command),
        click.option(
            "--suite", "suites", multiple=True, metavar="NAME", help="May be repeated.  [default: c19, shift]"
        ),
        click.option("--severity", metavar="1,3,5", help="Severities in [1, 5].  [default: 1,2,3,4,5]"),
        click.option("--full", is_flag=True, help="With the embedded checkpoints: every image and severity."),
        click.option("--seed", default=0, show_default=True, help="Seed of the corruptions."),
        click.option(
            "--probes/--no-probes", default=True, show_default=True, help="Watch the activation layers."
        ),
    )


def output_options(command: Command) -> Command:
    """Add what says what is written, and where."""
    return _with(
        command,
        click.option(
            "--out", type=click.Path(path_type=Path), help="Run directory.  [default: runs/DATE-TIME]"
        ),
        click.option(
            "--resume/--no-resume",
            default=True,
            show_default=True,
            help="Go on with an unfinished run in --out.",
        ),
        click.option(
            "--report",
            callback=take_formats,
            default="html",
            show_default=True,
            help="html, pdf, html,pdf or none.",
        ),
    )


def execution_options(command: Command) -> Command:
    """Add what says how to compute: `evaluation.Execution`."""
    return _with(
        command,
        click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:i."),
        click.option(
            "--batch-size",
            default=128,
            show_default=True,
            type=click.IntRange(1),
            help="Images in a network at once; changes no number.",
        ),
        click.option(
            "--processes",
            type=click.IntRange(1),
            help="Share the work among N; changes no number.  [default: the cores, where it pays]",
        ),
        click.option("--threads", type=click.IntRange(1), help="CPU cores of each.  [default: 1 of several]"),
        click.option(
            "--executor",
            type=click.Choice(["local", "ray"]),
            default="local",
            show_default=True,
            help="Where the processes are.",
        ),
        click.option("--ray-address", metavar="ADDRESS", help="Of a Ray cluster.  [default: start one here]"),
        click.option(
            "--precision",
            type=click.Choice(["fp32", "tf32", "bf16", "fp16"]),
            default="fp32",
            show_default=True,
            help="Of the networks; recorded, and another run.",
        ),
        click.option(
            "--compile", is_flag=True, help="Compile the networks; with --no-probes.  Recorded likewise."
        ),
    )


def take_execution(flags: dict[str, Any]) -> dict[str, Any]:
    """Take the flags of `execution_options` out of `flags`, as `evaluation.evaluate` names them."""
    names = ("device", "batch_size", "threads", "executor", "ray_address", "precision")
    taken = {name: flags.pop(name) for name in names}
    processes = flags.pop("processes") or ("auto" if taken["executor"] == "local" else None)
    return {**taken, "processes": processes, "compiled": flags.pop("compile")}


def view_options(command: Command) -> Command:
    """Add what says how pictures are shown; `inputs.load_data` takes it."""
    return _with(
        command,
        click.option("--resize", type=click.IntRange(1), help="Resize the shorter side to N pixels."),
        click.option("--crop", type=click.IntRange(1), help="Then cut out the centre, N x N pixels."),
        click.option(
            "--interpolation",
            metavar="NAME",
            help="nearest, bilinear, bicubic or lanczos.  [default: the network's, else bilinear]",
        ),
        click.option("--workers", type=click.IntRange(1), help="Threads that decode.  [default: the cores]"),
    )


def _with(command: Command, *options: Callable[[Command], Command]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def _take_manifest(context: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    """Make the manifest's options the command's defaults, and keep the rest for `inputs.load_inputs`."""
    if path is None:
        return
    from robustbench_act.manifest import read_manifest

    found = read_manifest(path)
    known = {option.name for option in context.command.params}
    given = {("suites" if key == "suite" else key): value for key, value in found.options.items()}
    if "severity" in given:
        given["severity"] = ",".join(map(str, given["severity"]))
    context.default_map = {key: value for key, value in given.items() if key in known}
    context.obj = found


def parse_cell(text: str) -> Any:
    """Return the cell that NAME:SEVERITY means."""
    from corruptions import Cell

    name, _, severity = text.partition(":")
    try:
        return Cell(name, float(severity))
    except ValueError as error:
        reason = str(error) if severity and not str(error).startswith("could not") else "no number after ':'"
        raise click.UsageError(f"--shift: expected NAME:SEVERITY, got {text!r}. {reason}") from error


def parse_numbers(flag: str, text: str | None) -> tuple[float, ...] | None:
    """Return the numbers of a list with commas; None where the flag was not given.

    >>> parse_numbers("--severity", "1,2.5")
    (1.0, 2.5)
    """
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise click.UsageError(f"{flag}: expected numbers with commas between them, got {text!r}.") from None


def parse_whole_numbers(flag: str, text: str | None) -> tuple[int, ...] | None:
    """Return the whole numbers of a list with commas; None where the flag was not given."""
    numbers = parse_numbers(flag, text)
    if numbers is not None and not all(number.is_integer() for number in numbers):
        raise click.UsageError(f"{flag}: expected whole numbers, got {text!r}.")
    return None if numbers is None else tuple(map(int, numbers))
