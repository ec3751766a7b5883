"""From flags and a manifest to data and checkpoints, as several commands take them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from robustbench_act.checkpoints import (
    Checkpoint,
    choose_view,
    find_checkpoints,
    load_checkpoint,
    unique_names,
)
from robustbench_act.cli.options import parse_numbers, parse_whole_numbers
from robustbench_act.cli.terminal import count, progress_bar
from robustbench_act.datasets import Dataset, Pictures, load_dataset
from robustbench_act.errors import InputError
from robustbench_act.manifest import Entry, Manifest
from robustbench_act.preprocessing import View

_SPEC = ("model", "activation", "classes", "weights")
_SHOWN = 3  # files named in a warning


@dataclass(frozen=True)
class _Source:
    """A file with all that was said of it."""

    path: Path
    name: str | None
    given: dict[str, Any]

    @property
    def architecture(self) -> tuple[Path, str | None, int | None]:
        """What `choose_view` asks of it."""
        return self.path, self.given.get("model"), self.given.get("classes")


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
    sources = list(_sources(checkpoints, manifest, _spec_flags(flags)))
    data = _load_data(flags, sources)
    limit, skip = flags.pop("limit"), flags.pop("skip_unreadable")
    data = data if limit is None else data.subset(limit)
    if check or skip:
        data = _check_pictures(data, skip=skip)
    if not sources:
        return Inputs(data, None)
    names = unique_names([source.path for source in sources])
    loaded = [
        load_checkpoint(source.path, name=source.name or name, data=data, **source.given)
        for source, name in zip(sources, names, strict=True)
    ]
    _refuse_equal_names(loaded)
    return Inputs(data, loaded)


def _spec_flags(flags: dict[str, Any]) -> dict[str, Any]:
    """Return what the flags say of every checkpoint."""
    given = {name: flags.pop(name) for name in _SPEC}
    given["input_size"] = parse_whole_numbers("--input-size", flags.pop("input_size"))
    for name in ("mean", "std"):
        given[name] = parse_numbers(f"--{name}", flags.pop(name))
    return {name: value for name, value in given.items() if value is not None}


def _sources(checkpoints: tuple[str, ...], manifest: Manifest, flags: dict[str, Any]) -> Iterator[_Source]:
    """Yield the files on the command line, or else those of the manifest."""
    entries = tuple(map(Entry, checkpoints)) or manifest.entries
    seen: set[Path] = set()
    for entry in entries:
        given = {**manifest.spec, **entry.spec, **flags}
        given |= {name: tuple(given[name]) for name in ("mean", "std", "input_size") if name in given}
        files = find_checkpoints([entry.path])
        if entry.name is not None and len(files) > 1:
            raise InputError(f"{entry.path}: {len(files)} files cannot all be called {entry.name!r}.")
        for path in files:
            if path not in seen:
                seen.add(path)
                yield _Source(path, entry.name, given)


def _load_data(flags: dict[str, Any], sources: list[_Source]) -> Dataset:
    usual = choose_view(source.architecture for source in sources)
    asked = {name: flags.pop(name) for name in ("resize", "crop", "interpolation")}
    asked = {name: value for name, value in asked.items() if value is not None}
    view = None
    if "resize" in asked or "crop" in asked:
        fallback = {"interpolation": usual.interpolation} if usual is not None else {}
        view = View(**{**fallback, **asked}, source="as given")
    elif asked:
        raise click.UsageError("--interpolation: says how --resize resizes; give both.")
    resize_corrupted, corrupted = flags.pop("resize_corrupted"), flags.pop("corrupted")
    if resize_corrupted and view is None:
        raise click.UsageError(
            "--resize-corrupted: says that --resize and --crop are for files too; give them."
        )
    data = load_dataset(
        flags.pop("dataset"),
        view=view,
        usual=usual,
        workers=flags.pop("workers"),
        resize_corrupted=resize_corrupted,
    )
    return data.with_stored(corrupted, view=view if resize_corrupted else None) if corrupted else data


def _check_pictures(data: Dataset, *, skip: bool) -> Dataset:
    if not isinstance(data.pixels, Pictures):
        return data.readable() if skip else data
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
