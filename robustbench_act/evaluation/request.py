"""From names to a plan: the one path that the command line and Python share."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, Self, TypeAlias

from corruptions import Suite
from corruptions.facts import matching_corruptions
from corruptions.random import check_seed
from corruptions.severity import SEVERITIES
from robustbench_act.checkpoints import (
    Checkpoint,
    Entry,
    common_view,
    find_checkpoints,
    find_entries,
    load_entries,
)
from robustbench_act.datasets import (
    Data,
    Dataset,
    OnItems,
    as_dataset,
    load_dataset,
    pair_corrupted,
    quietly,
    with_class_order,
    with_valid_classes,
)
from robustbench_act.errors import InputError
from robustbench_act.evaluation.given import Given, InMemory, check_apart, listed
from robustbench_act.evaluation.plan import Plan
from robustbench_act.option_kinds import use_plain_numbers
from robustbench_act.options import DEFAULT_SUITES, PROBE_IMAGES
from robustbench_act.user_code import import_modules
from robustbench_act.view import View

Look: TypeAlias = Callable[[Dataset, bool], Dataset]
"""Looks at pictures before anything else happens; returns those to use. True: leave out unreadable ones."""


def leave_out(data: Dataset, skip: bool) -> Dataset:
    """Return the pictures that can be read if they are wanted alone, else all of them, without a look."""
    return data.readable() if skip else data


@dataclass(frozen=True, kw_only=True)
class DataRequest:
    """Images as people name them.

    Attributes
    ----------
    dataset
        A `Dataset`, what `load_dataset` takes, or what a function of the user's may return: see `as_dataset`.
    train, download, workers
        See `load_dataset`.
    corrupted
        A folder with corrupted versions of the images, or None.
    channels
        1 or 3: images are made grey or RGB before corruptions; None: they keep their channels, see
        `Spec.preprocessing`.
    class_order
        The order of the classes, see `load_dataset`.
    valid_classes
        The classes to which images and answers are restricted, see `with_valid_classes`; None: all.
    resize, crop, interpolation
        How pictures are shown; what is None is left to the checkpoints, then to the data set.
    resize_corrupted
        Whether corrupted pictures from files are shown in the same way.
    skip_unreadable
        Whether pictures that cannot be read are left out.
    limit
        Images of a stratified subset, or None for all.
    imports
        Modules of the user's to import first: they register activations, and files may name what they define.
    on_items
        See `load_dataset`.
    """

    dataset: Data = "mnist-1k"
    train: bool = False
    download: bool = False
    workers: int | None = None
    corrupted: Path | None = None
    channels: int | None = None
    class_order: str | Path | None = None
    valid_classes: str | Path | Sequence[str | int] | None = None
    resize: int | tuple[int, int] | None = None
    crop: int | None = None
    interpolation: str | None = None
    resize_corrupted: bool = False
    skip_unreadable: bool = False
    limit: int | None = None
    imports: Sequence[str] | None = None
    on_items: OnItems = quietly

    def __post_init__(self) -> None:
        use_plain_numbers(self)
        import_modules(self.imports or ())

    def loaded(self) -> Self:
        """Return the same request, with images from Python as a `Dataset`: they are looked at only once."""
        if isinstance(self.dataset, str | Dataset):
            return self
        return replace(self, dataset=self._load())

    def open(self, wanted: Callable[[Dataset], View | None] = lambda data: None) -> Dataset:
        """Return all images, shown as the request says, else as `wanted`, else in the data set's own way."""
        data = self._load()
        data = pair_corrupted(data, self.corrupted, on_items=self.on_items) if self.corrupted else data
        if self.channels is not None:
            if self.channels not in (1, 3):
                raise InputError(f"--channels: expected 1 (grey) or 3 (RGB), got {self.channels}.")
            data = data.with_channels(self.channels)
        data = with_class_order(data, self.class_order) if self.class_order else data
        usual = data.view
        if usual is not None and isinstance(self.dataset, str) and not (self.resize and self.crop):
            usual = wanted(self._restricted(data)) or usual
        view = self._view(usual)
        if self.resize_corrupted and view is usual:
            raise InputError("--resize-corrupted needs --resize and --crop.")
        if view is None or view is data.view:
            return data
        return data.with_view(view, corrupted=self.resize_corrupted)

    def choose(self, data: Dataset, look: Look = leave_out) -> Dataset:
        """Return the images of the classes and the subset that are asked for, after a look at them."""
        data = self._restricted(data)
        return look(data if self.limit is None else data.subset(self.limit), self.skip_unreadable)

    def _load(self) -> Dataset:
        if not isinstance(self.dataset, str):
            return as_dataset(self.dataset, on_items=self.on_items)
        return load_dataset(
            self.dataset,
            train=self.train,
            download=self.download,
            workers=self.workers,
            on_items=self.on_items,
        )

    def _restricted(self, data: Dataset) -> Dataset:
        return data if self.valid_classes is None else with_valid_classes(data, self.valid_classes)

    def _view(self, usual: View | None) -> View | None:
        """Return the view that is asked for, open settings as in `usual`; `usual` itself if none is set."""
        settings = {"resize": self.resize, "crop": self.crop, "interpolation": self.interpolation}
        given = {name: value for name, value in settings.items() if value is not None}
        if not given:
            return usual
        view = replace(usual or View(), **given, source="as given")  # type: ignore[arg-type]
        if self.interpolation and view.resize is None:
            raise InputError("--interpolation needs --resize.")
        return view


@dataclass(frozen=True, kw_only=True)
class PlanRequest(DataRequest):
    """What `evaluate` is asked for: checkpoints, images, corruptions.

    Attributes
    ----------
    checkpoints
        Files, folders, patterns, entries of a manifest, loaded checkpoints or modules, one or several; or
        modules by their activations; None for the embedded ones.
    spec
        What holds for all but loaded checkpoints: mean, std, labels.
    suites
        Suites or their names; None for `DEFAULT_SUITES`, or, if the data set has corrupted versions in files,
        for these alone, unless there are `corruptions`.
    corruptions
        Names of corruptions and wildcards: the members of one more suite.
    severities
        Severities of every corruption, in [1, 5]; None for those of the suites or of the files, else 1 to 5.
    seed
        Seed of the corruptions.
    probes
        Whether the activation layers are measured.
    probe_images
        On how many images, see `Plan`.
    allow_random
        Whether networks may give different answers to the same images.

    Examples
    --------
    >>> len(PlanRequest(dataset="mnist-1k", suites=["light"], severities=[3], limit=10).plan().checkpoints)
    39
    """

    checkpoints: Given | None = None
    spec: Mapping[str, Any] = field(default_factory=dict)
    suites: Sequence[str | Suite] | str | Suite | None = None
    corruptions: Sequence[str] | str | None = None
    severities: Sequence[float] | None = None
    seed: int = 0
    probes: bool = True
    probe_images: int = PROBE_IMAGES
    allow_random: bool = False

    def load(self, look: Look = leave_out) -> tuple[Dataset, list[Checkpoint]]:
        """Return the images and the checkpoints."""
        named = listed(_embedded() if self.checkpoints is None else self.checkpoints)
        loaded = [one for one in named if isinstance(one, Checkpoint)]
        ready = [one for one in named if isinstance(one, Checkpoint | InMemory)]
        entries = find_entries(
            _entry(one, self.spec) for one in named if not isinstance(one, Checkpoint | InMemory)
        )

        def load(data: Dataset) -> list[Checkpoint]:
            made = [one if isinstance(one, Checkpoint) else one.checkpoint(data, self.spec) for one in ready]
            check_apart(own for own, one in zip(made, ready, strict=True) if isinstance(one, InMemory))
            return made + load_entries(entries, data)

        whole = self.open(lambda data: _wanted(data, loaded, entries))
        data, found = self.choose(whole, look), list[Checkpoint]()
        if whole.counts_from_one:
            data, found = _counted(data, load)
        found = found or load(data)
        names = [checkpoint.name for checkpoint in found]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"Two checkpoints are called {twice!r}: give one of them a different name.")
        return data, found

    def plan(self, look: Look = leave_out) -> Plan:
        """Return the plan, checked and loaded; nothing is written."""
        seed = check_seed(self.seed)
        data, checkpoints = self.load(look)
        suites = self._suites(data)
        severities = self.severities
        if severities is None:
            stored = data.stored.severities if data.stored is not None and not suites else None
            severities = _severities_of(suites) or stored or SEVERITIES
        return Plan(
            checkpoints=checkpoints,
            dataset=data,
            suites=suites,
            severities=tuple(sorted({float(severity) for severity in severities})),
            seed=seed,
            probes=self.probes,
            probe_images=self.probe_images,
        )

    def _suites(self, data: Dataset) -> tuple[str | Suite, ...]:
        suites: Any = [self.suites] if isinstance(self.suites, str | Suite) else self.suites
        given = list(suites or ())
        if wrong := next((one for one in given if not isinstance(one, str | Suite)), None):
            raise InputError(f"Expected suites or their names, got {wrong!r:.60}.")
        members = [self.corruptions] if isinstance(self.corruptions, str) else list(self.corruptions or ())
        if members:
            given.append(",".join(matching_corruptions(members)))
        elif self.suites is None and data.stored is None:
            given = list(DEFAULT_SUITES)
        return tuple(dict.fromkeys(given))


def _severities_of(suites: Iterable[str | Suite]) -> tuple[float, ...] | None:
    """Return the severities that all `Suite` objects have, None without any; an InputError if they differ."""
    found: dict[tuple[float, ...], Suite] = {}
    for suite in suites:
        if isinstance(suite, Suite):
            levels = tuple(sorted({cell.severity for cell in suite.cells}))
            if len(suite.cells) != len(levels) * len(suite.corruptions):
                raise InputError(f"Suite {suite.name!r}: expected every corruption at every severity.")
            found.setdefault(levels, suite)
    if len(found) > 1:
        one, other = list(found.values())[:2]
        raise InputError(
            f"Suites {one.name!r} and {other.name!r} have different severities; choose, as severities=[3]."
        )
    return next(iter(found), None)


def _counted(data: Dataset, load: Callable[[Dataset], list[Checkpoint]]) -> tuple[Dataset, list[Checkpoint]]:
    """Return the images, their labels counted from 0, and the checkpoints.

    Labels from 1 to K are those of K classes, unless all networks have a column for class 0 in addition.
    """
    try:
        found = load(data)
        if all(checkpoint.spec.classes >= (data.class_count or 0) for checkpoint in found):
            return data, found
    except InputError:
        pass  # weights for fewer classes
    data = data.counted_from_zero()
    return data, load(data)


def _embedded() -> list[Path]:
    with resources.as_file(resources.files("robustbench_act") / "assets" / "checkpoints") as folder:
        return find_checkpoints([folder])


def _entry(named: str | Path | Entry, spec: Mapping[str, Any]) -> Entry:
    entry = named if isinstance(named, Entry) else Entry(named)
    labels = {**(entry.spec.get("labels") or {}), **spec.get("labels", {})}
    return replace(entry, spec={**entry.spec, **spec, "labels": labels or None})


def _wanted(data: Dataset, loaded: Iterable[Checkpoint], entries: Iterable[Entry]) -> View | None:
    """Return the one view that all checkpoints want, or None if none of them wants one."""
    views = [(one.path, one.spec.view) for one in loaded]
    return common_view([*views, *((one.path, one.wanted_view(data.class_count)) for one in entries)])
