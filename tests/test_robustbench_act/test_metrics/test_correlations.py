"""What goes with lost accuracy, against scipy, a sum written out and what is known by construction."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from robustbench_act import Run, evaluate, layer_correlations
from robustbench_act.errors import InputError
from robustbench_act.metrics import LAYER_QUANTITIES, correlate_layers
from robustbench_act.metrics.correlations import permutation_p


@pytest.fixture(scope="module")
def run(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a run of four networks under noise and light at two severities."""
    out = tmp_path_factory.mktemp("statistics") / "run"
    return evaluate(
        [checkpoints],
        dataset="digits",
        suites=["noise", "light"],
        severities=[2, 5],
        limit=60,
        device="cpu",
        out=out,
    )


def test_parts_are_those_of_ranks_inside_cells(run: Run) -> None:
    table = layer_correlations(run)
    assert list(table["index"]) == [index for index in range(7) for _ in LAYER_QUANTITIES]
    clean = run.cells.query("severity == 0").set_index("checkpoint")["correct"]
    cells = run.cells.query("severity > 0").set_index(["checkpoint", "corruption", "severity"])["correct"]
    for found in table.to_dict("records"):
        layers = run.layers[(run.layers["layer"] == found["layer"]) & (run.layers["severity"] > 0)]
        x, y, names = [], [], []
        for (corruption, severity), own in layers.groupby(["corruption", "severity"]):
            lost = [clean[name] - cells[name, corruption, severity] for name in own["checkpoint"]]
            x += list(rankdata(own[f"{found['quantity']}_mean"]) - 2.5)
            y += list(rankdata(lost) - 2.5)
            names += list(own["activation"])
        assert (found["n"], found["activations"]) == (4 * 6 * 2, 2)
        assert found["correlation"] == pytest.approx(np.corrcoef(x, y)[0, 1])
        means = {name: np.mean([(a, b) for a, b, of in zip(x, y, names, strict=True) if of == name], axis=0)
                 for name in set(names)}  # fmt: skip
        assert abs(found["between"]) == pytest.approx(1)  # two points
        assert found["between"] * np.prod(np.subtract(*means.values())) > 0
        rest = [(a - means[of][0], b - means[of][1]) for a, b, of in zip(x, y, names, strict=True)]
        assert found["within"] == pytest.approx(np.corrcoef(np.array(rest).T)[0, 1])
        assert np.isnan([found["p"], found["adjusted"]]).all()  # two activations are not tested


def made(
    moved: Sequence[float], lost: Sequence[float], *, seeds: int = 2
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return cells and layers of an activation for each value, alike in every seed and cell."""
    cells, layers = [], []
    for place, (move, loss) in enumerate(zip(moved, lost, strict=True)):
        for seed in range(seeds):
            who = {"checkpoint": f"{place}-{seed}", "architecture": "net", "activation": f"a{place:02}"}
            for corruption, severity in (("clean", 0.0), ("fog", 1.0), ("fog", 5.0)):
                cell = {**who, "table": "32", "corruption": corruption, "severity": severity, "error": None}
                cell["group"] = "weather" if severity else "clean"
                cells.append({**cell, "correct": 1, "accuracy": 0.9 - loss * severity})
                values = {f"{name}_mean": move * (1 + severity) for name in LAYER_QUANTITIES}
                layers.append({**cell, "layer": "act", "index": 0, **values})
    return pd.DataFrame(cells), pd.DataFrame(layers)


def test_eight_activations_are_tested_by_all_their_orders() -> None:
    moved, lost = [3, 1, 2, 5, 4, 8, 7, 6], [0.01 * value for value in (1, 2, 3, 4, 5, 6, 7, 8)]
    table = correlate_layers(*made(moved, lost))
    ranks = np.array(moved) - 4.5
    exact = np.mean(
        [abs(ranks @ (np.array(order) - 3.5)) >= abs(ranks @ (np.arange(8) - 3.5)) - 1e-9
         for order in permutations(range(8))]
    )  # fmt: skip
    assert table["p"].tolist() == pytest.approx([exact] * 2)
    assert table["adjusted"].tolist() == pytest.approx([2 * exact] * 2)  # Holm over two quantities
    assert table["between"].tolist() == pytest.approx([np.corrcoef(moved, lost)[0, 1]] * 2)
    assert correlate_layers(*made(moved[:7], lost[:7]))["p"].isna().all()


def test_the_test_keeps_its_level_and_its_seed() -> None:
    random = np.random.default_rng(0)
    found = [
        permutation_p(random.normal(size=13), random.normal(size=13), np.random.default_rng(place))
        for place in range(200)
    ]
    assert 0.02 <= np.mean(np.array(found) <= 0.05) <= 0.09
    cells, layers = made(
        list(range(13)), [0.001 * value for value in (2, 1, 5, 3, 4, 9, 7, 6, 8, 12, 10, 11, 13)]
    )
    pd.testing.assert_frame_equal(correlate_layers(cells, layers), correlate_layers(cells, layers))
    assert (correlate_layers(cells, layers)["p"] < 0.001).all()


def test_what_does_not_vary_has_no_correlation() -> None:
    table = correlate_layers(*made([1.0] * 8, [0.01 * value for value in range(8)]))
    assert table[["correlation", "between", "within", "p"]].isna().to_numpy().all()


def test_without_probes_or_quantities_it_is_an_error(run: Run) -> None:
    empty = replace(run, layers=run.layers.iloc[:0])
    with pytest.raises(InputError, match="without probes"):
        layer_correlations(empty)
    older = replace(run, layers=run.layers.drop(columns="input_disturbance_mean"))
    with pytest.raises(InputError, match=r"no input_disturbance_mean.*evaluate again"):
        layer_correlations(older)
