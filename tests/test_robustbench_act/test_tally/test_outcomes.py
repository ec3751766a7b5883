"""Which images were right, as bits."""

import numpy as np
import pandas as pd
import pytest

from robustbench_act.errors import InputError
from robustbench_act.tally.outcomes import outcomes, pack_outcomes


def test_outcomes_say_where_there_are_none() -> None:
    packed = pack_outcomes(np.ones((2, 9), dtype=bool))
    cells = pd.DataFrame({"n": [9, 9], "outcomes": packed})
    assert outcomes(cells).all()
    assert outcomes(cells[:0]).size == 0
    with pytest.raises(InputError, match=r"one number of images, at least 1, got \[0, 9\]"):
        outcomes(cells.assign(n=[9, 0]))
    with pytest.raises(InputError, match="evaluate again"):
        outcomes(cells.drop(columns="outcomes"))
