"""Intervals and paired tests over the numbers of a run. Loads without torch.

Three kinds of chance are kept apart: which images were taken (intervals of shares, McNemar's test, bootstrap
over images), which training seeds (intervals of means, the paper's rule over seeds) and both at once (the
joint analysis).
"""

from robustbench_act.statistics.intervals import (
    Interval,
    bootstrap_interval,
    mean_interval,
    moments_interval,
    ratio_interval,
    share_interval,
)
from robustbench_act.statistics.joint import ONE_SEED, Joint, JointComparison
from robustbench_act.statistics.joint_power import Components, Studies, components, lead_shown, shown_leads
from robustbench_act.statistics.max_t import LargestDrop, largest_drops
from robustbench_act.statistics.paired import (
    Comparison,
    compare_images,
    compare_outcomes,
    compare_seeds,
    drop_bound,
    drop_test,
    holm,
)
from robustbench_act.statistics.ranks import spearman
from robustbench_act.statistics.rounding import are_equal, with_ties
from robustbench_act.statistics.shrinkage import shrunk_means

__all__ = [
    "ONE_SEED",
    "Comparison",
    "Components",
    "Interval",
    "Joint",
    "JointComparison",
    "LargestDrop",
    "Studies",
    "are_equal",
    "bootstrap_interval",
    "compare_images",
    "compare_outcomes",
    "compare_seeds",
    "components",
    "drop_bound",
    "drop_test",
    "holm",
    "largest_drops",
    "lead_shown",
    "mean_interval",
    "moments_interval",
    "ratio_interval",
    "share_interval",
    "shown_leads",
    "shrunk_means",
    "spearman",
    "with_ties",
]
