"""Intervals and paired tests over the numbers of a run. Loads without torch.

Three kinds of chance are kept apart: which images were taken (intervals of shares, McNemar's test, bootstrap
over images), which training seeds (intervals of means, the paper's rule over seeds) and both (bootstrap over
both).
"""

from robustbench_act.statistics.intervals import (
    Interval,
    bootstrap_interval,
    mean_interval,
    moments_interval,
    share_interval,
)
from robustbench_act.statistics.paired import (
    Comparison,
    compare_images,
    compare_outcomes,
    compare_seeds,
    drop_test,
    holm,
)
from robustbench_act.statistics.ranks import spearman
from robustbench_act.statistics.rounding import are_equal, with_ties

__all__ = [
    "Comparison",
    "Interval",
    "are_equal",
    "bootstrap_interval",
    "compare_images",
    "compare_outcomes",
    "compare_seeds",
    "drop_test",
    "holm",
    "mean_interval",
    "moments_interval",
    "share_interval",
    "spearman",
    "with_ties",
]
