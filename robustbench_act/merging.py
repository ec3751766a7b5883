"""Runs of the same images and corruptions merged into one: more networks, more training seeds."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from robustbench_act.atomic_files import publish
from robustbench_act.comparability import compare_setups
from robustbench_act.english import count, joined
from robustbench_act.errors import InputError
from robustbench_act.paths import distinct_names, expand, listed
from robustbench_act.records import (
    CELL,
    LAYER_KEYS,
    CheckpointInfo,
    Part,
    RunData,
    RunDirectory,
    RunInfo,
    SourceInfo,
    Tables,
    pack,
    read_run,
)
from robustbench_act.records.cells import SHIFT, cell_name
from robustbench_act.records.parts import unpack
from robustbench_act.tally.columns import LATER_IDENTITY
from robustbench_act.version import __version__

_CELL_KEYS = ["suite", *CELL]
_LAYER_KEYS = [name for name in LAYER_KEYS if name not in ("checkpoint", "elements", "group")]


def merge_runs(
    runs: Sequence[str | Path], out: str | Path, *, tell_apart: bool = False, command: str = ""
) -> RunData:
    """Merge finished runs into a new run directory, which is there whole or not at all.

    Its tables are those of the runs, one below the other: first the checkpoints of the first run, in its
    order. A checkpoint that several runs have, with the same weights, is there once, from the first run in
    which it did not fail.

    Parameters
    ----------
    runs
        Run directories, at least two.
    out
        A folder that does not exist.
    tell_apart
        Put the folder of its run behind the name of each checkpoint that has other weights in another run.
    command
        For the record in run.json.

    Raises
    ------
    InputError
        Before anything is written: runs with other images, corruptions, severities, seeds, precision or
        probes, a name with several weights, a checkpoint with several results.
    """
    out = expand(out)
    if out.exists() or out.is_symlink():
        raise InputError(f"{out}: exists already; choose a different --out.")
    found = [read_run(path) for path in _different(runs)]
    for other in found[1:]:
        _check_alike(found[0], other)
    shares = _shares(found, tell_apart=tell_apart)
    info = _info(shares, command)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        temporary.chmod(0o755)
        with RunDirectory.open(temporary, info, resume=False) as directory:
            _write(directory, shares, info)
        publish(temporary, out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return read_run(out)


@dataclass(frozen=True, eq=False)
class _Share:
    """What a run gives: its checkpoints that are taken, with their names in the merged run."""

    run: RunData
    names: Mapping[str, str]

    @property
    def checkpoints(self) -> Iterator[CheckpointInfo]:
        for entry in self.run.info.checkpoints:
            if entry.name in self.names:
                yield replace(entry, name=self.names[entry.name])

    @property
    def sources(self) -> Iterator[SourceInfo]:
        info = self.run.info
        whole = SourceInfo(
            checkpoints=tuple(entry.name for entry in info.checkpoints),
            created=info.created,
            version=info.version,
            device=info.device,
            kernels=info.kernels,
        )
        for source in info.sources or (whole,):
            names = tuple(self.names[name] for name in source.checkpoints if name in self.names)
            if names:
                yield replace(source, checkpoints=names)

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of its checkpoints, under their names in the merged run."""
        if "checkpoint" not in table or all(own == new for own, new in self._of_all):
            return table
        own = table[table["checkpoint"].isin(self.names)].reset_index(drop=True)
        return own.assign(checkpoint=own["checkpoint"].map(self.names))

    def part(self, file: Path) -> bytes:
        """Return a part of the run's journal with the rows of its checkpoints."""
        data = file.read_bytes()
        part = unpack(data, file)
        kept = Part(*map(self.rows, part))
        return data if all(one is other for one, other in zip(kept, part, strict=True)) else pack(kept)

    @property
    def _of_all(self) -> Iterator[tuple[str, str | None]]:
        return ((entry.name, self.names.get(entry.name)) for entry in self.run.info.checkpoints)


def _different(runs: Sequence[str | Path]) -> list[Path]:
    paths = [expand(run) for run in runs]
    if len(paths) < 2:
        raise InputError(f"Expected at least 2 runs to merge, got {len(paths)}.")
    ((path, times),) = Counter(path.resolve() for path in paths).most_common(1)
    if times > 1:
        raise InputError(f"Expected different runs, got {path} {times} times.")
    return paths


def _check_alike(first: RunData, other: RunData) -> None:
    who = f"{first.path} and {other.path}"
    if refusal := compare_setups(first, other, pairs=()).refusal(who, merged=True):
        raise InputError(refusal)
    ids = [run.images["id"].tolist() for run in (first, other)]
    if all(ids) and ids[0] != ids[1]:
        raise InputError(f"{who}: have their images in different orders, so outcomes cannot be paired.")


def _shares(runs: Sequence[RunData], *, tell_apart: bool) -> list[_Share]:
    """Return what each run gives; InputError for a name with several weights or results."""
    labels = distinct_names([run.path.resolve() for run in runs])
    names: list[dict[str, str]] = [{} for _ in runs]
    for name in dict.fromkeys(entry.name for run in runs for entry in run.info.checkpoints):
        owners = _owners(name, runs)
        if len(owners) > 1 and not tell_apart:
            where = joined([f"{runs[place].path} ({digest[:8]})" for digest, place in owners.items()])
            raise InputError(
                f"checkpoint {name!r} has different weights in {where}; --tell-apart keeps both, with the "
                "folders of their runs in their names."
            )
        for place in owners.values():
            names[place][name] = f"{name} ({labels[place]})" if len(owners) > 1 else name
    counts = Counter(new for own in names for new in own.values())
    if twice := [name for name, times in counts.items() if times > 1]:
        raise InputError(f"two checkpoints would be called {twice[0]!r}; rename the folder of a run.")
    return [_Share(run, own) for run, own in zip(runs, names, strict=True) if own]


def _owners(name: str, runs: Sequence[RunData]) -> dict[str, int]:
    """Return which run gives a checkpoint, for each of the weights that it has, by their digests."""
    found: dict[str, int] = {}
    entries = [
        (entry, place, run)
        for place, run in enumerate(runs)
        for entry in run.info.checkpoints
        if entry.name == name
    ]
    for entry, place, run in entries:
        owner = runs[found.setdefault(entry.digest, place)]
        if owner is run or _failed(run, name):
            continue
        if _failed(owner, name):
            found[entry.digest] = place
        elif text := _unlike(name, owner, run):
            raise InputError(
                f"{owner.path} and {run.path}: {text}, although the weights are the same; evaluate one of "
                "the two again without this checkpoint."
            )
    return found


def _failed(run: RunData, name: str) -> bool:
    return bool(run.cells.loc[run.cells["checkpoint"] == name, "error"].notna().any())


def _unlike(name: str, a: RunData, b: RunData) -> str:
    """Return where the numbers of a checkpoint differ between two runs; "" if they are the same."""
    for one, other, keys in ((a.cells, b.cells, _CELL_KEYS), (a.layers, b.layers, _LAYER_KEYS)):
        columns = [each for each in one if each in other and each not in (*keys, *LATER_IDENTITY, "pixels")]
        x, y = (table[table["checkpoint"] == name].set_index(keys)[columns] for table in (one, other))
        if len(x) != len(y):
            return f"checkpoint {name!r} has {count(len(x), 'row')} in one and {len(y)} in the other"
        y = y.reindex(x.index)
        differs = (x != y) & ~(x.isna() & y.isna())
        if differs.to_numpy().any():
            row = int(differs.any(axis=1).to_numpy().argmax())
            column = columns[int(differs.iloc[row].to_numpy().argmax())]
            where = cell_name(x.reset_index().assign(checkpoint=name).iloc[row])
            return f"{where} has another {column} in one than in the other"
    return ""


def _info(shares: Sequence[_Share], command: str) -> RunInfo:
    """Return run.json; a setting in which the runs differ names all values."""
    infos = [share.run.info for share in shares]
    sizes = {info.batch_size for info in infos}
    return replace(
        infos[0],
        product="actrobust",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command,
        version=__version__,
        checkpoints=tuple(entry for share in shares for entry in share.checkpoints),
        device=_all_values(info.device for info in infos),
        memory_format=_all_values(info.memory_format for info in infos),
        kernels=_all_entries([info.kernels for info in infos]),
        libraries=_all_entries([info.libraries for info in infos]),
        batch_size=sizes.pop() if len(sizes) == 1 else None,
        notes=tuple(dict.fromkeys([*_pixel_notes(shares), *(note for info in infos for note in info.notes)])),
        sources=tuple(source for share in shares for source in share.sources),
        tables={},
        extra={},
    )


def _all_values(values: Iterable[str]) -> str:
    return joined([value for value in dict.fromkeys(values) if value])


def _all_entries(given: Sequence[Mapping[str, str]]) -> dict[str, str]:
    names = dict.fromkeys(name for one in given for name in one)
    return {name: _all_values(one.get(name, "") for one in given) for name in names}


def _pixel_notes(shares: Sequence[_Share]) -> Iterator[str]:
    """Yield a note for each run some of whose pixels are not those of the first run."""
    first, *others = (_pixels(share.run) for share in shares)
    for place, own in enumerate(others, start=2):
        both = [cell for cell in own if cell in first]
        other = sum(first[cell] != own[cell] for cell in both)
        if other:
            yield (
                f"Run {place} of those merged has other pixels than run 1 in {other} of "
                f"{count(len(both), 'cell')}: rounding on another device, or a corruption that changed."
            )


def _pixels(run: RunData) -> dict[tuple[Any, ...], str]:
    """Return the digests of a run's corrupted pixels, cell by cell; shifts act on normalised inputs."""
    if "pixels" not in run.cells:
        return {}
    rows = run.cells[run.cells["error"].isna() & (run.cells["group"] != SHIFT)]
    return {tuple(key): digest for *key, digest in rows[[*_CELL_KEYS, "pixels"]].itertuples(index=False)}


def _write(directory: RunDirectory, shares: Sequence[_Share], info: RunInfo) -> None:
    for place, share in enumerate(shares):
        path = share.run.path
        for file in listed(path / "parts", "*.zip"):
            directory.write(Path("parts") / f"{place:03d}-{file.name}", share.part(file))
        for file in listed(path / "samples", "*.png"):
            if not (directory.path / "samples" / file.name).exists():
                directory.write(Path("samples") / file.name, file.read_bytes())
    images = max((share.run.images for share in shares), key=len)
    rows = (Part(share.rows(share.run.cells), share.rows(share.run.layers)) for share in shares)
    directory.write_tables(map(Tables.of, rows), images, info)
