"""Loading: what is there comes back; what is missing or wrong is named in one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import reports
from robustbench_act.errors import InputError
from robustbench_act.records import IDENTITY, LAYER_COLUMNS, RunInfo
from robustbench_act.run import load_run
from tests.build_run import CORRECT, LABELS, Builder, png

Damage = Callable[[Path], object]


def test_load_returns_everything(tmp_path: Path) -> None:
    builder = Builder()
    run = load_run(builder.write(tmp_path))
    columns = ["checkpoint", "corruption", "severity", "correct", "accuracy"]
    pd.testing.assert_frame_equal(
        run.cells[columns].astype({"correct": int, "checkpoint": str, "corruption": str}),
        builder.cells()[columns].astype({"checkpoint": str, "corruption": str}),
    )
    assert len(run.layers) == len(builder.layers())
    assert run.info == RunInfo.from_json(builder.run_json(), where="here")
    assert run.labels is not None
    assert run.labels.tolist() == list(LABELS)
    assert run.samples == {"clean": png(12, 8), "gaussian_noise": png(12, 8)}


def test_an_older_run_has_its_normalisation_from_run_json_or_unknown(tmp_path: Path) -> None:
    for norm in ("layer", ""):
        folder = Builder(normalization=norm).write(tmp_path / f"run{norm}")
        for table in ("cells", "layers"):
            edit(folder, table, lambda rows: rows.drop(columns="normalization"))
        run = load_run(folder)
        assert set(run.cells["normalization"]) == set(run.layers["normalization"]) == {norm}
        assert list(run.cells.columns[:5]) == IDENTITY[:5]


def test_unknown_columns_are_welcome(tmp_path: Path) -> None:
    folder = Builder().write(tmp_path)
    edit(folder, "cells", lambda cells: cells.assign(pixels="abc"))
    assert set(load_run(folder).cells) == {*Builder().cells(), "pixels"}


def test_a_part_full_of_failures_joins_the_others(tmp_path: Path) -> None:
    folder = Builder(failed={"relu-11": "x", "relu-22": "x"}).write(tmp_path)  # the first part has no number
    cells = load_run(folder).cells
    assert cells["accuracy"].dtype == "float64"
    assert cells["error"].notna().sum() == 14


def test_no_probes_gives_an_empty_table_with_its_columns(tmp_path: Path) -> None:
    layers = load_run(Builder(probes=False).write(tmp_path)).layers
    assert layers.empty
    assert list(layers) == list(LAYER_COLUMNS)


def test_an_older_run_has_fewer_columns_and_no_images(tmp_path: Path) -> None:
    folder = Builder().write(tmp_path)
    (folder / "images.parquet").unlink()
    new = ["top5", "brier", "ece", "ece_debiased", "ece_mass", "severity_flips", "outcomes", "predicted"]
    edit(folder, "cells", lambda cells: cells.drop(columns=new))
    run = load_run(folder)
    assert run.labels is None
    assert run.labelled
    assert len(run.leaderboard()) == 2


def test_columns_of_older_runs_get_the_name_that_their_content_has_now(tmp_path: Path) -> None:
    folder = Builder().write(tmp_path)
    edit(
        folder,
        "cells",
        lambda cells: cells.rename(columns={"severity_flips": "flips"}).drop(columns="ece_debiased"),
    )
    run = load_run(folder)
    assert "flips" not in run.cells
    assert run.summary()["severity_flips"].tolist() == pytest.approx([0.2] * 4)
    assert run.summary()["ece_debiased"].isna().all()


def test_pictures_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    folder = Builder().write(tmp_path)
    truncate(folder / "samples" / "clean.png")
    run = load_run(folder)
    assert len(run.leaderboard()) == 2
    with pytest.raises(InputError, match=r"clean\.png: is not a complete PNG file"):
        _ = run.samples


def edit(folder: Path, kind: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    for path in (folder / kind).glob("*.parquet"):
        change(pd.read_parquet(path)).to_parquet(path)


def change_info(folder: Path, **values: Any) -> None:
    path = folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def drop_info(folder: Path, key: str) -> None:
    path = folder / "run.json"
    info = json.loads(path.read_text())
    del info[key]
    path.write_text(json.dumps(info))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def without(**values: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Drop the rows that have all these values."""

    def drop(table: pd.DataFrame) -> pd.DataFrame:
        hit = pd.Series(True, index=table.index)
        for name, value in values.items():
            hit &= table[name] == value
        return table[~hit]

    return drop


def lose_images(run: Path) -> None:
    change_info(run, tables={"images.parquet": "0" * 64})
    (run / "images.parquet").unlink()


DAMAGES: dict[str, tuple[Damage, str]] = {
    "no run.json": (lambda run: (run / "run.json").unlink(), r"run.json is missing"),
    "broken json": (lambda run: (run / "run.json").write_text("{"), r"run.json: is not readable JSON"),
    "not an object": (
        lambda run: (run / "run.json").write_text("[]"),
        r"run.json: expected a JSON object, got a list",
    ),
    "no name": (
        lambda run: change_info(run, checkpoints=[{"digest": "d"}]),
        r"run.json: checkpoints: missing name\.",
    ),
    "a number for a text": (
        lambda run: change_info(run, command=3),
        r"run.json: expected 'command' to be a text, got 3\.",
    ),
    "a lost table": (
        lambda run: change_info(run, tables={"cells/part-2.parquet": "0" * 64}),
        r"cells/part-2.parquet: not a complete Parquet file of this run \(.*No such file",
    ),
    "lost images": (
        lose_images,
        r"images.parquet: not a complete Parquet file",
    ),
    "schema": (lambda run: change_info(run, schema_version=2), r"expected schema_version 1, got 2"),
    "no suites": (lambda run: drop_info(run, "suites"), r"run.json: missing suites\."),
    "suites": (lambda run: change_info(run, suites=["a"]), r"run.json: suites: expected an object, got 'a'"),
    "checkpoints": (
        lambda run: change_info(run, checkpoints={}),
        r"expected 'checkpoints' to be a list, got \{\}",
    ),
    "dataset": (
        lambda run: change_info(run, dataset="toy"),
        r"run.json: dataset: expected an object, got 'toy'",
    ),
    "severities": (lambda run: change_info(run, severities=3), r"expected 'severities' to be a list, got 3"),
    "texts": (
        lambda run: change_info(run, severities=["1", "5"]),
        r"expected 'severities' to be numbers in rising order, got \['1', '5'\]",
    ),
    "order": (lambda run: change_info(run, severities=[5, 1]), r"in rising order, got \[5, 1\]"),
    "checksum": (
        lambda run: change_info(run, tables={"layers/part-0.parquet": "0" * 64}),
        r"layers/part-0.parquet: not a complete Parquet file of this run \(its checksum differs",
    ),
    "unfinished": (lambda run: change_info(run, status="running"), r"the run is not finished"),
    "no cells": (
        lambda run: shutil.rmtree(run / "cells"),
        r"cells: expected Parquet files with rows, found none",
    ),
    "empty cells": (
        lambda run: edit(run, "cells", lambda cells: cells[:0]),
        r"cells: expected Parquet files with rows, found none",
    ),
    "truncated": (
        lambda run: truncate(run / "cells" / "part-1.parquet"),
        r"part-1.parquet: not a complete Parquet file",
    ),
    "not parquet": (
        lambda run: (run / "layers" / "part-0.parquet").write_text("no"),
        r"part-0.parquet: not a complete Parquet file",
    ),
    "no column": (
        lambda run: edit(run, "cells", lambda cells: cells.drop(columns=["n", "group"])),
        r"part-0.parquet: missing columns group, n",
    ),
    "no number": (
        lambda run: edit(run, "cells", lambda cells: cells.assign(accuracy=None)),
        r"clean at severity 0 of checkpoint 'relu-11' has neither an accuracy nor an error",
    ),
    "percent": (
        lambda run: edit(run, "cells", lambda cells: cells.assign(accuracy=100 * cells["accuracy"])),
        r"expected accuracies in 0..1, got 95.0 for clean at severity 0 of checkpoint 'relu-11'",
    ),
    "no clean cell": (
        lambda run: edit(run, "cells", without(checkpoint="relu-11", severity=0.0)),
        r"the clean cell \(severity 0\) of checkpoint 'relu-11' is missing",
    ),
    "only clean": (
        lambda run: edit(run, "cells", lambda cells: cells[cells["severity"] == 0]),
        r"expected corrupted cells, found only the clean one",
    ),
    "a missing cell": (
        lambda run: edit(run, "cells", without(checkpoint="la_silu-22", corruption="fog")),
        r"2 of 7 cells are missing, first fog at severity 1 of checkpoint 'la_silu-22'",
    ),
    "no layers": (
        lambda run: (run / "layers" / "part-0.parquet").unlink(),
        r"layers: expected clean layer rows for la_silu-11, la_silu-22, relu-11, relu-22, found none",
    ),
    "no corrupted layers": (
        lambda run: edit(
            run, "layers", lambda rows: rows[(rows["severity"] == 0) | (rows["activation"] == "relu")]
        ),
        r"expected corrupted layer rows for la_silu-11, la_silu-22, found none",
    ),
    "not a picture": (
        lambda run: (run / "samples" / "fog.png").write_bytes(b"GIF89a"),
        r"fog.png: is not a complete PNG file",
    ),
    "half a picture": (
        lambda run: truncate(run / "samples" / "clean.png"),
        r"clean.png: is not a complete PNG file",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named_in_one_line(tmp_path: Path, name: str) -> None:
    damage, message = DAMAGES[name]
    folder = Builder().write(tmp_path)
    load_run(folder)
    damage(folder)
    with pytest.raises(InputError, match=message) as caught:
        reports.write_html(folder)
    assert "\n" not in str(caught.value)
    assert not (folder / "report.html").exists()


def test_a_file_is_no_run_directory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(InputError, match="is not a run directory"):
        load_run(path)


def test_failed_checkpoints_need_no_layers_and_no_numbers(tmp_path: Path) -> None:
    failed = {f"{activation}-{seed}": "broken" for activation, seed in CORRECT}
    assert load_run(Builder(failed=failed).write(tmp_path)).layers.empty
