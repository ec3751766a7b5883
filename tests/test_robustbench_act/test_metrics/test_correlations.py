"""Statistics against scipy and against what is known by construction."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from robustbench_act import Run, evaluate, layer_correlations
from robustbench_act.errors import InputError
from robustbench_act.metrics.correlations import _block_correlation


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


def test_layer_correlations_equal_those_of_scipy(run: Run) -> None:
    table = layer_correlations(run)
    assert list(table["index"]) == list(range(7))
    clean = run.cells.query("severity == 0").set_index("checkpoint")["correct"]
    drop = {  # whole images: equal losses are ties
        (row["checkpoint"], row["corruption"], row["severity"]): clean[row["checkpoint"]] - row["correct"]
        for row in run.cells.to_dict("records")
    }
    for found in table.to_dict("records"):
        layers = run.layers[(run.layers["layer"] == found["layer"]) & (run.layers["severity"] > 0)]
        moved = layers["output_relative_mean"].tolist()
        keys = layers[["checkpoint", "corruption", "severity"]].itertuples(index=False, name=None)
        lost = [drop[key] for key in keys]
        assert found["n"] == len(moved) == 4 * 6 * 2
        assert found["correlation"] == pytest.approx(spearmanr(moved, lost).statistic, abs=1e-12)
        assert -1 <= found["low"] <= found["correlation"] <= found["high"] <= 1
    pd.testing.assert_frame_equal(layer_correlations(run), table)
    assert not layer_correlations(run, seed=1)["low"].equals(table["low"])


def test_without_probes_it_is_an_error(run: Run) -> None:
    empty = replace(run, layers=run.layers.iloc[:0])
    with pytest.raises(InputError, match="without probes"):
        layer_correlations(empty)


def test_what_does_not_vary_has_no_correlation() -> None:
    blocks = np.array(["a", "a", "b", "b"])
    x = np.array([1.0, 2.0, 3.0, 4.0])
    constant = _block_correlation(x, np.full(4, 2.5), blocks, np.random.default_rng(0))
    assert np.isnan(constant).all()
    whole, low, high = _block_correlation(x, x, blocks, np.random.default_rng(0))
    assert (whole, low, high) == pytest.approx((1, 1, 1))
    assert np.isnan(_block_correlation(x, x, np.array(["a"] * 4), np.random.default_rng(0))[1:]).all()


@pytest.mark.slow
def test_intervals_cover_the_correlation_of_clustered_data() -> None:
    """20 blocks of 10 that share half their variance: 95% intervals cover in 90 to 98% of 400 cases."""
    random = np.random.default_rng(0)
    share, covered = 0.5, 0
    blocks = np.repeat(np.arange(20).astype(str), 10)
    for _ in range(400):
        common = np.repeat(random.standard_normal((2, 20)), 10, axis=1)
        x, noise = np.sqrt(share) * common + np.sqrt(1 - share) * random.standard_normal((2, 200))
        y = 0.6 * x + 0.8 * noise  # correlation 0.6, whatever is shared
        _, low, high = _block_correlation(x, y, blocks, np.random.default_rng(1))
        covered += low <= 0.6 <= high
    assert 0.90 <= covered / 400 <= 0.98
