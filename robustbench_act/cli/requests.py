"""Turns parsed options into requests to the engine; checks pictures, with a progress bar."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

import click

from robustbench_act.checkpoints import Entry
from robustbench_act.cli.terminal import say
from robustbench_act.datasets import Dataset
from robustbench_act.english import count
from robustbench_act.evaluation import Execution, PlanRequest
from robustbench_act.evaluation.request import leave_out
from robustbench_act.manifest import Manifest
from robustbench_act.options import manifest_keys
from robustbench_act.progress.terminal import TerminalBar, progress_bar

QUICK_IMAGES = 60  # with 3 severities, what two cores do in 50 seconds with the embedded checkpoints
QUICK_SEVERITIES = (1.0, 3.0, 5.0)
_SHOWN = 3  # files named in a warning

T = TypeVar("T")


def pick(kind: type[T], options: Mapping[str, Any]) -> T:
    """Return a dataclass made of the options that have the names of its fields.

    >>> from robustbench_act.training import Recipe
    >>> pick(Recipe, {"epochs": 3, "device": "cpu"}).epochs
    3
    """
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in options.items() if name in names})


def reading_items(what: str, total: int) -> Callable[[int], None]:
    """Show the progress of a look at all items of a data set; return what counts them."""
    bar, left = TerminalBar(), [total]
    click.get_current_context().call_on_close(bar.stop)  # also if an item is wrong
    advance = bar.start(what, total)

    def count_items(done: int) -> None:
        advance(done)
        left[0] -= done
        if not left[0]:
            bar.stop()

    return count_items


def plan_request(checkpoints: tuple[str, ...], options: Mapping[str, Any]) -> PlanRequest:
    """Return the request of the checkpoints, options and manifest of a command line.

    Flags about checkpoints take precedence over their entries in the manifest, and entries over its [spec].
    """
    manifest: Manifest = options["manifest"]
    flags = {key: options[key] for key in manifest_keys("spec") if options.get(key) is not None}
    flags.pop("dataset", None)  # the flag of this name is about the images
    entries = tuple(map(Entry, checkpoints)) or manifest.entries
    labels = manifest.spec.get("labels", {})
    named = [
        replace(
            entry,
            spec={
                **manifest.spec,
                **entry.spec,
                **flags,
                "labels": {**labels, **entry.spec.get("labels", {})} or None,
            },
        )
        for entry in entries
    ]
    chosen = {name: options.get(name) or None for name in ("suites", "corruptions")}
    more = {"checkpoints": named or None, "on_items": reading_items}
    return pick(PlanRequest, {**options, **more, **chosen})


def study_request(checkpoints: tuple[str, ...], options: Mapping[str, Any]) -> PlanRequest:
    """Return the request of a command that needs checkpoints; a UsageError if no checkpoint is given."""
    request = plan_request(checkpoints, options)
    if request.checkpoints is None:
        raise click.UsageError("Expected checkpoints, as arguments or in the manifest.")
    return request


def quick_unless(full: bool, request: PlanRequest) -> PlanRequest:
    """Limit images and severities for the embedded checkpoints, unless `full` or limited already."""
    if full or request.checkpoints is not None:
        return request
    severities = request.severities or QUICK_SEVERITIES
    return replace(request, limit=request.limit or QUICK_IMAGES, severities=severities)


def execution(options: Mapping[str, Any]) -> Execution:
    """Return where and how to compute; the number of processes is chosen if it is not given."""
    names = {field.name for field in fields(Execution)} & set(options)
    chosen = {name: options[name] for name in names}
    return Execution.of(**{**chosen, "processes": options["processes"] or "auto"})


def check_pictures(data: Dataset, skip: bool) -> Dataset:
    """Decode every picture once, with progress; unreadable ones are an error, or left out with a warning.

    An order of the classes that nobody chose is a warning, if it is doubtful.
    """
    _warn_of_order(data)
    with progress_bar() as progress:
        bar = progress.add_task("reading pictures", total=len(data))
        good = data.readable(lambda images: progress.advance(bar, images)) if skip else data
        if not skip:
            data.check(lambda images: progress.advance(bar, images))
    if good.unreadable:
        named = ", ".join(good.unreadable[:_SHOWN]) + (", ..." if len(good.unreadable) > _SHOWN else "")
        left = f"{count(len(good.unreadable), 'picture')} cannot be read"
        say(f"warning: {left}, {len(data) - len(good)} of {len(data)} images left out: {named}", err=True)
    return good


def check_if_skipping(data: Dataset, skip: bool) -> Dataset:
    """Decode every picture once if unreadable ones are to be left out; the same warnings."""
    if skip:
        return check_pictures(data, skip)
    _warn_of_order(data)
    return leave_out(data, skip)


def _warn_of_order(data: Dataset) -> None:
    if data.order_doubt:
        say(f"warning: {data.name}: {data.order_doubt}.", err=True)
