"""Runs merged into one: the same tables as if all networks had been evaluated together."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import Result

from robustbench_act.errors import InputError
from robustbench_act.evaluation import evaluate
from robustbench_act.merging import merge_runs
from robustbench_act.run import load_run
from tests.build_run import CORRECT, Builder, N

RELU, LA_SILU = ({key: own for key, own in CORRECT.items() if key[0] == name} for name in ("relu", "la_silu"))


@pytest.fixture(scope="session")
def halves(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a run of four networks, and the runs of the first two and of the last two."""
    folder, files = tmp_path_factory.mktemp("halves"), sorted(checkpoints.glob("*.safetensors"))
    chosen = {"whole": files, "first": files[:2], "last": files[2:]}
    for name, own in chosen.items():
        settings: dict[str, Any] = {"dataset": "digits", "limit": 16, "suites": ["noise"], "severities": [2]}
        evaluate(list(map(str, own)), out=folder / name, device="cpu", **settings)
    return {name: folder / name for name in chosen}


def test_halves_are_the_whole(halves: dict[str, Path], tmp_path: Path) -> None:
    merge_runs([halves["first"], halves["last"]], tmp_path / "merged", command="actrobust merge")
    found, whole = load_run(tmp_path / "merged"), load_run(halves["whole"])
    for name in ("cells", "layers", "images"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(whole, name), check_exact=True)
    pd.testing.assert_frame_equal(found.histograms(), whole.histograms())
    assert found.samples == whole.samples
    assert found.info.checkpoints == whole.info.checkpoints
    assert found.info.decisive() == whole.info.decisive()
    assert found.summary().equals(whole.summary())
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]


def test_the_order_is_that_of_the_runs(halves: dict[str, Path], tmp_path: Path) -> None:
    found = merge_runs([halves["last"], halves["first"]], tmp_path / "merged")
    whole = [entry.name for entry in load_run(halves["whole"]).info.checkpoints]
    assert list(found.cells["checkpoint"].unique()) == whole[2:] + whole[:2]


def test_a_checkpoint_that_two_runs_have_is_there_once(halves: dict[str, Path], tmp_path: Path) -> None:
    found = merge_runs([halves["first"], halves["whole"]], tmp_path / "merged")
    whole = load_run(halves["whole"])
    pd.testing.assert_frame_equal(found.cells, whole.cells, check_exact=True)
    pd.testing.assert_frame_equal(load_run(found.path).histograms(), whole.histograms())
    assert [len(source.checkpoints) for source in found.info.sources] == [2, 2]


def test_a_merged_run_is_not_continued(halves: dict[str, Path], checkpoints: Path, tmp_path: Path) -> None:
    out = tmp_path / "merged"
    merge_runs([halves["first"], halves["last"]], out)
    before = (out / "run.json").read_bytes()
    with pytest.raises(InputError, match=r"merged: holds a merged run, .* then merge again"):
        evaluate([checkpoints], dataset="digits", limit=16, suites=["noise"], severities=[2], out=out)
    assert (out / "run.json").read_bytes() == before


def written(folder: Path, correct: Any = RELU, **settings: Any) -> Path:
    return Builder(correct=correct, info=settings.pop("info", {}), **settings).write(folder)


def test_run_json_says_where_a_checkpoint_is_from(tmp_path: Path) -> None:
    old = written(tmp_path / "old", info={"created": "2025-01-01T00:00:00+00:00", "version": "0.1.0"})
    new = written(tmp_path / "new", LA_SILU, info={"device": "cuda", "kernels": {"torch": "3.0"}})
    info = merge_runs([old, new], tmp_path / "both", command="as typed").info
    sources = [(one.created[:4], one.version, one.device, one.checkpoints) for one in info.sources]
    assert sources == [
        ("2025", "0.1.0", "cpu", ("relu-11", "relu-22")),
        ("2025", "9.8.7", "cuda", ("la_silu-11", "la_silu-22")),
    ]
    assert (info.device, info.command, info.status) == ("cpu and cuda", "as typed", "complete")
    assert str(tmp_path) not in (tmp_path / "both" / "run.json").read_text()
    again = merge_runs([tmp_path / "both", written(tmp_path / "more", more())], tmp_path / "all").info
    assert [one.checkpoints for one in again.sources][:2] == [one[-1] for one in sources]
    assert len(again.sources) == 3


def more() -> dict[tuple[str, int], Any]:
    return {("gelu", 11): CORRECT["relu", 11]}


def test_every_command_takes_it(tmp_path: Path, actrobust: Callable[..., Result]) -> None:
    old, new = written(tmp_path / "old"), written(tmp_path / "new", LA_SILU)
    whole = written(tmp_path / "whole", RELU | LA_SILU)
    both = tmp_path / "both"
    assert actrobust("merge", old, new, "--out", both).output.endswith("both  (4 checkpoints, 200 images)\n")
    for command in (["table"], ["table", "--style", "layeract"], ["compare", whole, "--json"]):
        first, second = (actrobust(*command, run) for run in (both, whole))
        assert (first.exit_code, second.exit_code) == (0, 0)
        assert first.output.replace(f"{both}", f"{whole}").replace("both:", "whole:") == second.output
    baseline = tmp_path / "baseline.parquet"
    assert actrobust("baseline", whole, "-o", baseline).exit_code == 0
    assert actrobust("check", both, "--baseline", baseline).exit_code == 0
    assert actrobust("report", both).exit_code == 0
    assert "not alike" in actrobust("check", old, "--baseline", baseline).output


def with_digest(run: Path, name: str, digest: str) -> Path:
    content = json.loads((run / "run.json").read_text())
    for entry in content["checkpoints"]:
        if entry["name"] == name:
            entry["digest"] = digest
    (run / "run.json").write_text(json.dumps(content))
    return run


def test_one_name_and_different_weights(tmp_path: Path, actrobust: Callable[..., Result]) -> None:
    old = written(tmp_path / "old", RELU | LA_SILU)
    new = with_digest(written(tmp_path / "new"), "relu-11", "beef")
    keep = with_digest(new, "relu-22", "cafe")
    refused = actrobust("merge", old, keep, "--out", tmp_path / "both")
    assert refused.exit_code == 2
    assert "'relu-11' has different weights in" in refused.output.replace("\n", " ")
    assert "--tell-apart keeps both" in " ".join(refused.output.split())
    assert not (tmp_path / "both").exists()
    assert actrobust("merge", old, keep, "--out", tmp_path / "both", "--tell-apart").exit_code == 0
    found = load_run(tmp_path / "both")
    told = ["relu-11 (old)", "relu-22 (old)", "la_silu-11", "la_silu-22", "relu-11 (new)", "relu-22 (new)"]
    for table in (found.cells, found.layers):
        assert list(table["checkpoint"].unique()) == told
    assert [entry.name for entry in found.info.checkpoints] == told
    assert found.info.sources[1].checkpoints == ("relu-11 (new)", "relu-22 (new)")
    assert found.leaderboard().set_index("activation")["seeds"].to_dict() == {"relu": 4, "la_silu": 2}


def test_the_same_weights_with_different_numbers(tmp_path: Path) -> None:
    old = written(tmp_path / "old")
    changed = np.array(CORRECT["relu", 22])
    changed[4] += 1
    new = written(tmp_path / "new", {("relu", 22): tuple(changed)})
    with pytest.raises(
        InputError, match=r"impulse_noise at severity 5 of checkpoint 'relu-22' has another correct in one"
    ):
        merge_runs([old, new], tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_a_checkpoint_that_failed_is_taken_from_the_other_run(tmp_path: Path) -> None:
    old = written(tmp_path / "old", failed={"relu-22": "out of memory"})
    new = written(tmp_path / "new", RELU)
    for place, runs in enumerate(([old, new], [new, old])):
        found = merge_runs(runs, tmp_path / f"both{place}")
        assert found.cells["error"].isna().all()
        assert sorted(found.cells["checkpoint"].unique()) == ["relu-11", "relu-22"]
        assert [len(found.cells), len(found.layers)] == [14, 28]


OTHER_IMAGES = {"name": "toy", "images": N, "digest": "other", "classes": ["a"]}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"info": {"dataset": OTHER_IMAGES}}, "only the same images can be merged: other images"),
        ({"info": {"seed": 1}}, "not alike: seed 42 against 1"),
        ({"severities": (1.0, 4.0)}, "not alike: severities 1,5 against 1,4; cells .* only in the first"),
        ({"info": {"precision": "bf16"}}, "not alike: precision not recorded against bf16"),
        ({"info": {"compiled": True}}, "not alike: compiled networks in one only"),
        ({"probes": False}, "not alike: layers measured on 256 images against not measured"),
        ({"info": {"status": "running"}}, "is not finished"),
    ],
)
def test_what_is_unlike_is_refused(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    first, other = written(tmp_path / "first"), written(tmp_path / "other", LA_SILU, **settings)
    with pytest.raises(InputError, match=message):
        merge_runs([first, other], tmp_path / "both")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "other"]


def test_images_in_a_different_order(tmp_path: Path) -> None:
    first, other = written(tmp_path / "first"), written(tmp_path / "other", LA_SILU)
    Builder().images[::-1].to_parquet(other / "images.parquet")
    with pytest.raises(InputError, match="images in different orders"):
        merge_runs([first, other], tmp_path / "both")


def test_too_few_runs_and_a_folder_that_exists(tmp_path: Path) -> None:
    run = written(tmp_path / "run")
    with pytest.raises(InputError, match="at least 2 runs to merge, got 1"):
        merge_runs([run], tmp_path / "both")
    with pytest.raises(InputError, match=r"Expected different runs, got .*run 2 times"):
        merge_runs([run, run / "." / ".." / "run"], tmp_path / "both")
    with pytest.raises(InputError, match="run: exists already"):
        merge_runs([run, written(tmp_path / "other", LA_SILU)], run)


def test_what_goes_wrong_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    first, other = written(tmp_path / "first"), written(tmp_path / "other", LA_SILU)
    (other / "parts").mkdir()
    (other / "parts" / "x.zip").write_bytes(b"torn")
    with pytest.raises(InputError, match=r"x\.zip: a damaged part"):
        merge_runs([first, other], tmp_path / "both")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "other"]


def test_pixels_that_differ_are_noted(tmp_path: Path) -> None:
    runs = [written(tmp_path / "first"), written(tmp_path / "other", LA_SILU)]
    for run, digest in zip(runs, "ab", strict=True):
        for file in (run / "cells").iterdir():
            cells = pd.read_parquet(file)
            fog = cells["corruption"] == "fog"
            cells.assign(pixels=np.where(fog, digest, "same")).to_parquet(file)
    (note,) = merge_runs(runs, tmp_path / "both").info.notes
    assert note.startswith("Run 2 of those merged has other pixels than run 1 in 2 of 7 cells")
