"""From flags and a manifest to data and checkpoints, as several commands take them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from robustbench_act.checkpoints import (
    Checkpoint,
    common_view,
    find_checkpoints,
    load_checkpoint,
    unique_names,
    wanted_view,
)
from robustbench_act.cli.options import parse_numbers, parse_whole_numbers
from robustbench_act.cli.terminal import count, progress_bar
from robustbench_act.datasets import Dataset, load_dataset, pair_corrupted
from robustbench_act.errors import InputError
from robustbench_act.manifest import Entry, Manifest
from robustbench_act.view import View

QUICK_IMAGES = 60  # with 3 severities, what two cores do in 80 seconds with the embedded checkpoints
QUICK_SEVERITIES = (1.0, 3.0, 5.0)
_SPEC = ("model", "activation", "classes", "weights")
_SHOWN = 3  # files named in a warning


@dataclass(frozen=True)
class _Source:
    """A file with all that was said of it."""

    path: Path
    name: str | None
    given: dict[str, Any]


@dataclass(frozen=True)
class Inputs:
    """What a command works on; `checkpoints` is None where none was named."""

    data: Dataset
    checkpoints: list[Checkpoint] | None


def load_inputs(checkpoints: tuple[str, ...], flags: dict[str, Any], *, check: bool = False) -> Inputs:
    """Load what a command names; takes the flags of `checkpoint_options` and `data_options` out of `flags`.

    With `check` every picture is decoded once before anything else happens, and those that cannot be read
    are an error, or left out where this is asked for.
    """
    manifest = click.get_current_context().obj or Manifest({}, {}, ())
    sources = _sources(checkpoints, manifest, _spec_flags(flags))
    data = load_data(flags, sources)
    limit, skip = flags.pop("limit"), flags.pop("skip_unreadable")
    data = data if limit is None else data.subset(limit)
    if check or skip:
        data = _check_pictures(data, skip=skip)
    if not sources:
        return Inputs(data, None)
    unnamed = [source.path for source in sources if source.name is None]
    names = dict(zip(unnamed, unique_names(unnamed), strict=True))
    loaded = [
        load_checkpoint(one.path, name=one.name or names[one.path], data=data, **one.given) for one in sources
    ]
    _refuse_equal_names(loaded)
    return Inputs(data, loaded)


@dataclass(frozen=True)
class PlanInputs:
    """What a plan is made of: `arguments` are those of `evaluation.make_plan`."""

    arguments: dict[str, Any]
    quick: bool


def take_plan(checkpoints: tuple[str, ...], flags: dict[str, Any], *, check: bool = False) -> PlanInputs:
    """Load what a plan is made of; takes the flags of `checkpoint_options` and `plan_options` out of `flags`.

    Where no checkpoint is named, it is about the embedded ones: on a quick selection of images and
    severities, unless something else is asked for.
    """
    embedded = not checkpoints and not getattr(click.get_current_context().obj, "entries", ())
    quick, chosen = embedded and not flags.pop("full"), flags["limit"] is not None
    if quick and not chosen:
        flags["limit"] = QUICK_IMAGES
    severities = parse_numbers("--severity", flags.pop("severity")) or (QUICK_SEVERITIES if quick else None)
    inputs = load_inputs(checkpoints, flags, check=check)
    arguments = {
        "checkpoints": inputs.checkpoints,
        "dataset": inputs.data,
        "suites": flags.pop("suites") or None,
        "severities": severities,
        "seed": flags.pop("seed"),
        "probes": flags.pop("probes"),
    }
    return PlanInputs(arguments, quick and not chosen)


def _spec_flags(flags: dict[str, Any]) -> dict[str, Any]:
    """Return what the flags say of every checkpoint."""
    given = {name: flags.pop(name) for name in _SPEC}
    given["input_size"] = parse_whole_numbers("--input-size", flags.pop("input_size"))
    for name in ("mean", "std"):
        given[name] = parse_numbers(f"--{name}", flags.pop(name))
    return {name: value for name, value in given.items() if value is not None}


def _sources(checkpoints: tuple[str, ...], manifest: Manifest, flags: dict[str, Any]) -> list[_Source]:
    """Return the files on the command line, or else those of the manifest."""
    entries = tuple(map(Entry, checkpoints)) or manifest.entries
    found: dict[tuple[Path, str | None], _Source] = {}
    for entry in entries:
        given = {**manifest.spec, **entry.spec, **flags}
        given |= {name: tuple(given[name]) for name in ("mean", "std", "input_size") if name in given}
        files = find_checkpoints([entry.path])
        if entry.name is not None and len(files) > 1:
            raise InputError(f"{entry.path}: {len(files)} files cannot all be called {entry.name!r}.")
        for path in files:
            found[path, entry.name] = _Source(path, entry.name, given)  # the last word of a file holds
    return list(found.values())


def load_data(flags: dict[str, Any], sources: Sequence[_Source] = ()) -> Dataset:
    """Load what the flags of `data_options` name, shown as they say, else as the checkpoints want it."""
    data = load_dataset(flags.pop("dataset"), workers=flags.pop("workers"))
    corrupted, resize_corrupted = flags.pop("corrupted"), flags.pop("resize_corrupted")
    data = pair_corrupted(data, corrupted) if corrupted else data
    whole = flags["resize"] is not None and flags["crop"] is not None
    usual = data.view
    if data.view is not None and not whole:  # what is not said is the checkpoints' to say
        usual = common_view((one.path, _wanted(one, data.class_count)) for one in sources) or data.view
    view = take_view(flags, usual)
    if resize_corrupted and view is usual:
        raise click.UsageError(
            "--resize-corrupted: says that --resize and --crop are for files too; give them."
        )
    return data if view is None else data.with_view(view, corrupted=resize_corrupted)


def take_view(flags: dict[str, Any], usual: View | None = None) -> View | None:
    """Take the flags of `view_options` out of `flags`, but workers, and return the view that they say.

    What they leave open is as in `usual`, which comes back as it is where they say nothing.
    """
    said = {name: flags.pop(name) for name in ("resize", "crop", "interpolation")}
    said = {name: value for name, value in said.items() if value is not None}
    if not said:
        return usual
    view = replace(usual or View(), **said, source="as given")
    if "interpolation" in said and view.resize is None:
        raise click.UsageError("--interpolation: says how --resize resizes; give both.")
    return view


def _wanted(source: _Source, classes: int | None) -> View | None:
    return wanted_view(source.path, source.given.get("model"), source.given.get("classes", classes))


def _check_pictures(data: Dataset, *, skip: bool) -> Dataset:
    with progress_bar() as progress:
        bar = progress.add_task("reading pictures", total=len(data))
        good = data.readable(lambda images: progress.advance(bar, images)) if skip else data
        if not skip:
            data.check(lambda images: progress.advance(bar, images))
    if good.unreadable:
        named = ", ".join(good.unreadable[:_SHOWN]) + (", ..." if len(good.unreadable) > _SHOWN else "")
        left = f"{count(good.unreadable, 'picture')} cannot be read"
        click.echo(
            f"warning: {left}, {len(data) - len(good)} of {len(data)} images left out: {named}", err=True
        )
    return good


def _refuse_equal_names(loaded: list[Checkpoint]) -> None:
    names = [checkpoint.name for checkpoint in loaded]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"Two checkpoints are called {twice!r}: give one of them another name.")
