"""The engine: equal to brute force, independent of batch size, honest about failures."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from corruptions import list_corruptions
from robustbench_act.checkpoints import load_checkpoint, save_checkpoint
from robustbench_act.datasets import load_dataset
from robustbench_act.errors import InputError
from robustbench_act.evaluation import CHUNK, Plan, evaluate
from robustbench_act.preprocessing import normalise
from robustbench_act.records import CELL_COLUMNS, KEYS, LAYER_COLUMNS, outcomes
from robustbench_act.run import EvaluationFailedError, Run, load_run
from robustbench_act.tally.layer_columns import QUANTILE_NAMES
from robustbench_act.tally.mergeable_stats import EDGES, quantiles
from tests.references.brute_force import brute_force
from tests.references.grid import many_images


def test_tables_have_one_row_for_each_key(run: Run) -> None:
    assert list(run.cells.columns) == CELL_COLUMNS
    assert list(run.layers.columns) == LAYER_COLUMNS
    assert len(run.cells) == 4 * (1 + 27 * 2)
    assert len(run.layers) == len(run.cells) * 7
    keys = ["checkpoint", "suite", "corruption", "severity"]
    assert not run.cells.duplicated(keys).any()
    assert not run.layers.duplicated([*keys, "layer"]).any()
    clean = run.cells[run.cells["corruption"] == "clean"]
    assert (clean["severity"] == 0).all()
    assert (clean["agreement"] == 1).all()
    assert (run.cells["n"] == 60).all()
    assert run.cells["error"].isna().all()


@pytest.mark.parametrize("name", list_corruptions())
@pytest.mark.parametrize("checkpoint", ["relu_1", "la_silu_2"])
def test_equal_to_brute_force(name: str, checkpoint: str, run: Run, checkpoints: Path) -> None:
    data = load_dataset("digits").subset(60)
    model = load_checkpoint(checkpoints / f"{checkpoint}.safetensors").model
    expected = brute_force(
        model,
        data.images,
        data.known_labels,
        data.ids,
        mean=data.mean[0],
        std=data.std[0],
        name=name,
        severity=4,
    )
    chosen = f"checkpoint == {checkpoint!r} and corruption == {name!r} and severity == 4"
    (cell,) = run.cells.query(chosen).to_dict("records")
    assert outcomes(run.cells.query(chosen)).tolist() == [expected["outcomes"]]
    assert cell["accuracy"] == expected["accuracy"]
    assert cell["agreement"] == expected["agreement"]
    assert cell["top5"] == expected["top5"]
    assert cell["predicted"] == " ".join(map(str, expected["predicted"][:4]))
    assert cell["brier"] == pytest.approx(expected["brier"], rel=1e-5)
    assert cell["ece"] == pytest.approx(expected["ece"], abs=1e-5)
    assert cell["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    rows = run.layers.query(chosen).set_index("layer")
    assert list(rows.index) == list(expected["layers"])
    for layer, samples in expected["layers"].items():
        found = rows.loc[layer]
        for side, values in zip(("input", "output"), np.array(samples).T, strict=True):
            assert found[f"{side}_fluctuation_mean"] == pytest.approx(values.mean(), rel=1e-5)
            # a constant shift has no variance but float32's rounding of the sum, hence the floor
            floor = (1e-6 * values.mean()) ** 2
            assert found[f"{side}_fluctuation_var"] == pytest.approx(values.var(ddof=1), rel=1e-4, abs=floor)
        mu = expected["means"][layer]
        assert found["elements"] == mu.numel()
        assert found["activation_mean"] == pytest.approx(float(mu.mean()), abs=1e-6)
        assert found["activation_abs_mean"] == pytest.approx(float(mu.abs().mean()), abs=1e-6)


@pytest.mark.parametrize("name", ["gaussian_noise", "shift_up"])
def test_flips_are_counted_from_one_severity_to_the_next(name: str, run: Run, checkpoints: Path) -> None:
    data = load_dataset("digits").subset(60)
    model = load_checkpoint(checkpoints / "relu_1.safetensors").model
    low, high = (
        brute_force(
            model,
            data.images,
            data.known_labels,
            data.ids,
            mean=data.mean[0],
            std=data.std[0],
            name=name,
            severity=s,
        )
        for s in (1, 4)
    )
    changed = np.array(low["predicted"]) != np.array(high["predicted"])
    cells = run.cells.query(f"checkpoint == 'relu_1' and corruption == {name!r}").set_index("severity")
    assert changed.any()
    assert cells["severity_flips"].to_dict() == pytest.approx(
        {1.0: 1 - low["agreement"], 4.0: changed.mean()}
    )


def test_images_are_those_of_the_outcomes(run: Run, checkpoints: Path) -> None:
    data = Plan(
        [load_checkpoint(checkpoints / "relu_1.safetensors")],
        load_dataset("digits").subset(60),
        ("light",),
        (1.0,),
    ).dataset
    assert run.images["id"].tolist() == data.ids.tolist()
    assert run.images["label"].tolist() == data.known_labels.tolist()
    pd.testing.assert_frame_equal(load_run(run.path).images, run.images)


def test_clean_accuracy_is_that_of_training(checkpoints: Path, tmp_path: Path) -> None:
    run = evaluate(
        [checkpoints],
        dataset="digits",
        suites=["light"],
        severities=[1],
        probes=False,
        device="cpu",
        out=tmp_path / "run",
    )
    clean = run.cells.query("corruption == 'clean'").set_index("checkpoint")["accuracy"]
    for path in checkpoints.glob("*.safetensors"):
        assert clean[path.stem] == load_checkpoint(path).spec.clean_accuracy
    assert run.layers.empty
    assert clean.min() > 0.8


def rows_of(table: pd.DataFrame, *names: str) -> pd.DataFrame:
    return table[table["checkpoint"].isin(names)].reset_index(drop=True)


@pytest.mark.parametrize("batch_size", [16, 256])
def test_batch_size_changes_no_pixel_and_no_row(
    batch_size: int, run: Run, checkpoints: Path, tmp_path: Path
) -> None:
    """Of 60 images in three versions, 5 at a time or all at once; by default 42 and the rest."""
    names = ("la_silu_2", "relu_1")
    again = evaluate(
        [checkpoints / f"{name}.safetensors" for name in names],
        dataset="digits",
        severities=[1, 4],
        limit=60,
        batch_size=batch_size,
        device="cpu",
        out=tmp_path / "run",
    )
    pd.testing.assert_frame_equal(again.cells, rows_of(run.cells, *names), check_exact=True)
    pd.testing.assert_frame_equal(again.layers, rows_of(run.layers, *names), check_exact=True)


def test_pixels_are_those_of_the_whole_set(run: Run, checkpoints: Path, tmp_path: Path) -> None:
    """An image keeps its pixels in any subset: the digest differs by the images alone."""
    part = load_dataset("digits").subset(60)[torch.arange(59, -1, -1)]
    backwards = evaluate(
        [checkpoints / "relu_1.safetensors"],
        dataset=part,
        suites=["noise"],
        severities=[4],
        device="cpu",
        out=tmp_path / "r",
    )
    columns = ["corruption", "correct"]
    found = backwards.cells.query("severity == 4")[columns].reset_index(drop=True)
    expected = run.cells.query("checkpoint == 'relu_1' and severity == 4").set_index("corruption")["correct"]
    assert len(found) == 4
    assert found.set_index("corruption")["correct"].to_dict().items() <= expected.to_dict().items()


def test_chunks_are_merged_exactly(checkpoints: Path, tmp_path: Path) -> None:
    """Three chunks give what one pass over all images gives; the layers are those of the first."""
    data = many_images(2 * CHUNK + 50)
    sample = data.subset(CHUNK)
    path = checkpoints / "la_silu_1.safetensors"
    run = evaluate(
        [path],
        dataset=data,
        suites=["light"],
        severities=[3],
        probe_images=CHUNK,
        device="cpu",
        out=tmp_path / "run",
    )
    model = load_checkpoint(path).model
    expected = brute_force(
        model,
        data.images,
        data.known_labels,
        data.ids,
        mean=data.mean[0],
        std=data.std[0],
        name="contrast",
        severity=3,
    )
    (cell,) = run.cells.query("corruption == 'contrast'").to_dict("records")
    assert cell["n"] == len(data)
    assert cell["accuracy"] == pytest.approx(expected["accuracy"], abs=1e-12)
    assert cell["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert cell["ece"] == pytest.approx(expected["ece"], abs=1e-5)
    rows = run.layers.query("corruption == 'contrast'").set_index("layer")
    watched = torch.isin(data.ids, sample.ids).numpy()
    for layer, samples in expected["layers"].items():
        values = np.array(samples)[watched, 1]
        assert rows.loc[layer, "n"] == CHUNK
        assert rows.loc[layer, "output_fluctuation_mean"] == pytest.approx(values.mean(), rel=1e-5)
        assert rows.loc[layer, "output_fluctuation_var"] == pytest.approx(values.var(ddof=1), rel=1e-4)
        bin_width = EDGES[1] / EDGES[0] * (1 + 1e-5)
        for share in (0.05, 0.25, 0.5, 0.75, 0.95):
            exact = np.quantile(values, share, method="inverted_cdf")
            found = rows.loc[layer, f"output_fluctuation_q{round(100 * share):02d}"]
            assert exact / bin_width <= found <= exact * bin_width


def test_histograms_are_those_of_the_quantiles(checkpoints: Path, tmp_path: Path) -> None:
    data = many_images(CHUNK + 50)
    path = checkpoints / "la_silu_1.safetensors"
    run = evaluate([path], dataset=data, suites=["light"], severities=[3], device="cpu", out=tmp_path / "run")
    histograms = run.histograms()
    assert histograms[KEYS].equals(run.layers[KEYS])
    for counts, row in zip(histograms["output_fluctuation"], run.layers.to_dict("records"), strict=True):
        assert np.sum(counts) == len(data)
        found = [row[f"output_fluctuation_{name}"] for name in QUANTILE_NAMES]
        assert found == pytest.approx(quantiles(np.asarray(counts)) * row["elements"], rel=1e-12)


def test_outcomes_of_chunks_are_joined_in_the_order_of_the_images(checkpoints: Path, tmp_path: Path) -> None:
    data = many_images(2 * CHUNK + 51)
    checkpoint = load_checkpoint(checkpoints / "relu_1.safetensors")
    run = evaluate(
        [checkpoint], dataset=data, suites=["light"], severities=[3], probes=False, device="cpu", out=tmp_path
    )
    plan = Plan([checkpoint], data, ("light",), (3.0,))
    images = normalise(plan.ordered.images, checkpoint.spec.mean, checkpoint.spec.std)
    with torch.inference_mode():
        predicted = checkpoint.model(images).argmax(1)
    right = predicted == plan.ordered.known_labels
    assert len({str(part) for part in predicted[::CHUNK].tolist()}) > 1  # the chunks begin unlike
    assert run.cells["predicted"][0] == " ".join(map(str, predicted[:4].tolist()))
    found = outcomes(run.cells)
    assert found.shape == (len(run.cells), len(data))
    assert found[0].tolist() == right.tolist()
    assert found.sum(1).tolist() == run.cells["correct"].tolist()


def test_probe_sample_is_a_stratified_subset_in_front(checkpoints: Path) -> None:
    data = many_images(700)
    network = load_checkpoint(checkpoints / "relu_1.safetensors")
    plan = Plan([network], data, ("noise",), (1.0,), probe_images=512)
    front = plan.chunk(0)
    assert front.digest == data.subset(512).digest
    assert sorted(plan.ordered.ids.tolist()) == data.ids.tolist()
    assert plan.describe().dataset.digest == data.digest
    assert plan.describe().probe == {"images": 512}
    with pytest.raises(InputError, match=r"^Expected probe images as a multiple of 256, got 300\.$"):
        replace(plan, probe_images=300)


def broken_copy(source: Path, target: Path, value: float) -> None:
    """Store a checkpoint with one weight replaced."""
    checkpoint = load_checkpoint(source)
    checkpoint.model.get_parameter("layers1.0.conv1.bias")[1] = value
    save_checkpoint(target, checkpoint.model, checkpoint.spec)


def test_weights_that_are_not_finite_fail_by_name(run: Run, checkpoints: Path, tmp_path: Path) -> None:
    broken_copy(checkpoints / "relu_1.safetensors", tmp_path / "bad.safetensors", float("nan"))
    again = evaluate(
        [tmp_path / "bad.safetensors", checkpoints / "la_silu_1.safetensors"],
        dataset="digits",
        severities=[1, 4],
        limit=60,
        device="cpu",
        out=tmp_path / "r",
    )
    bad = again.cells.query("checkpoint == 'bad'")
    assert len(bad) == 1 + 27 * 2
    assert bad["error"].str.contains("layers1.0.conv1.bias").all()
    assert (bad["n"] == 0).all()
    assert bad["accuracy"].isna().all()
    assert json.loads((tmp_path / "r" / "run.json").read_text())["checkpoints"][0]["status"] == "failed"
    others = again.cells.query("checkpoint != 'bad'").reset_index(drop=True)
    assert others["error"].isna().all()
    expected = rows_of(run.cells, "la_silu_1")
    pd.testing.assert_frame_equal(others.drop(columns="error"), expected.drop(columns="error"))


def test_logits_that_are_not_finite_fail_too(checkpoints: Path, tmp_path: Path) -> None:
    broken_copy(checkpoints / "relu_1.safetensors", tmp_path / "huge.safetensors", 3e38)
    with pytest.raises(EvaluationFailedError, match="failed: huge: logits that are not finite") as error:
        evaluate(
            [tmp_path / "huge.safetensors"],
            dataset="digits",
            suites=["light"],
            severities=[1],
            device="cpu",
            out=tmp_path / "r",
        )
    run = error.value.run
    assert run.cells["error"].str.startswith("logits that are not finite; the first layer with such").all()
    assert run.layers.empty


@pytest.mark.parametrize("probes", [False, True])
def test_clean_images_go_through_a_network_once(
    probes: bool, checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In four units of a chunk. In the probe sample they also come with every unit, to compare layers.

    Two of them come first, and tell how large the layers are.
    """
    monkeypatch.setattr("robustbench_act.evaluation.plan.STORE", CHUNK * 64 * 6)
    checkpoint = load_checkpoint(checkpoints / "relu_1.safetensors")
    data = many_images(2 * CHUNK)
    seen: list[int] = []
    options: dict[str, Any] = {"suites": ["noise"], "severities": [1, 2, 3, 4, 5], "device": "cpu"}
    options |= {"dataset": data, "probes": probes, "probe_images": CHUNK}

    def start(*_: object) -> Callable[[int], None]:
        checkpoint.model.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
        return lambda count: None

    run = evaluate([checkpoint], **options, out=tmp_path / "run", on_start=start)
    assert len(list(run.path.glob("parts/*.zip"))) == 2 * 4
    assert sum(seen) == 2 * CHUNK * (1 + 4 * 5) + probes * (CHUNK + 2) * 4
    at_once = evaluate([checkpoint], **options, out=tmp_path / "alone", batch_size=1000)
    for name in ("correct", "agreement", "severity_flips", "outcomes"):
        assert run.cells[name].tolist() == at_once.cells[name].tolist()
