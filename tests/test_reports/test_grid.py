"""The grid of accuracies against sums written out by hand."""

from statistics import fmean

import numpy as np
import pandas as pd
import pytest

from reports.grid import make_grid
from robustbench_act.run import Run
from tests.build_run import CORRUPTIONS, SEVERITIES, SHARES, corruption_means


def test_every_cell_is_where_it_belongs(run: Run) -> None:
    grid = make_grid(run.cells.sample(frac=1, random_state=3))  # whatever the order of the rows
    assert set(zip(grid.corruptions["group"], grid.corruptions["corruption"], strict=True)) == {
        (group, name) for name, group in CORRUPTIONS
    }
    assert grid.severities == SEVERITIES
    names = list(grid.corruptions["corruption"])
    for place, row in enumerate(grid.checkpoints.itertuples()):
        shares = SHARES[str(row.activation), int(str(row.training_seed))]
        assert grid.clean[place] == shares[0]
        for number, (name, _) in enumerate(CORRUPTIONS):
            own = shares[1 + 2 * number : 3 + 2 * number]
            assert grid.shares[place, names.index(name)].tolist() == list(own)


def test_means_come_first_and_groups_are_found(run: Run) -> None:
    grid = make_grid(run.cells)
    assert grid.groups == ["noise", "weather"]
    assert grid.places("noise").tolist() == [0, 1]
    first = grid.checkpoints.iloc[0]
    expected = corruption_means(first["activation"], int(first["training_seed"]))
    assert grid.means[0, :, 0].tolist() == pytest.approx(expected)
    assert grid.means[0, :, 0].mean() == pytest.approx(fmean(expected))
    assert (grid.means[:, :, 1:] == grid.shares).all()


def test_a_severity_that_a_corruption_lacks_is_missing_and_in_no_mean(run: Run) -> None:
    cells = run.cells[~((run.cells["corruption"] == "fog") & (run.cells["severity"] == 5))]
    grid = make_grid(pd.DataFrame(cells))
    fog = list(grid.corruptions["corruption"]).index("fog")
    assert np.isnan(grid.shares[:, fog, 1]).all()
    assert (grid.means[:, fog, 0] == grid.shares[:, fog, 0]).all()
