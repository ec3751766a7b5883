"""Every metric, declared once: what it is called, its unit, direction, bounds, formula and source."""

import math
from collections.abc import Mapping

from robustbench_act.records import SHIFT, group_label
from robustbench_act.tally.cell_quantities import CELL_QUANTITIES, HENDRYCKS
from robustbench_act.tally.metric import SHARE, Metric

_OVER = "over images (delta method); training seeds are not in it."

METRICS: Mapping[str, Metric] = {
    # of a cell; of a checkpoint the mean over severities, then over corruptions, input shifts apart
    **{one.name: one.metric for one in CELL_QUANTITIES if one.metric is not None},
    "error": Metric("Error", "%", "lower", "1 - accuracy.", SHARE),
    # of a checkpoint
    "clean": Metric("Clean", "%", "higher", "Accuracy on the unchanged images.", SHARE),
    "mca": Metric(
        "Corrupted", "%", "higher",
        "Mean corruption accuracy: accuracy, mean over corruptions of the mean over severities. Input shifts "
        "do not count, unless the run has nothing else.",
        SHARE, f"1 - error, averaged as mCE in {HENDRYCKS}, section 4.3",
    ),
    "retained": Metric("Retained", "%", "higher", "Relative robustness: mca / clean.", (0.0, math.inf)),
    "retained_low": Metric("Retained, low", "%", None, f"Lower end of its 95% interval {_OVER}"),
    "retained_high": Metric("Retained, high", "%", None, f"Upper end of its 95% interval {_OVER}"),
    "mce": Metric(
        "mCE", "%", "lower",
        "Mean corruption error: mean over corruptions of sum_s error / sum_s error of the reference; no "
        "number if the reference hardly errs under one of them.",
        (0.0, math.inf), f"{HENDRYCKS}, section 4.3",
    ),
    "mce_low": Metric("mCE, low", "%", None, f"Lower end of its 95% interval {_OVER}"),
    "mce_high": Metric("mCE, high", "%", None, f"Upper end of its 95% interval {_OVER}"),
    "relative_mce": Metric(
        "Relative mCE", "%", "lower",
        "Mean over corruptions of sum_s (error - clean error) / sum_s the same of the reference; no number "
        "if the reference loses next to nothing under one of them.",
        source=f"{HENDRYCKS}, section 4.3",
    ),
    "effective": Metric(
        "Effective robustness", "points", "higher",
        "mca above the line logit(mca) = a + b logit(clean) through the models of the reference: at least "
        "ten whose logit(clean) spans at least 1.",
        (-1.0, 1.0), "Taori et al. 2020, arXiv 2007.00644",
    ),
    "worst_class": Metric(
        "Worst class", "%", "higher", "Lowest accuracy of a class, each averaged as mca is.", SHARE
    ),
    "worst_class_n": Metric(
        "Images of the worst class", "", None, "Number of images of that class.",
        (0.0, math.inf),
    ),
    "worst_class_shrunk": Metric(
        "Worst class, shrunk", "%", "higher",
        "Lowest accuracy of a class after each is pulled towards their mean as far as chance tells it apart: "
        "of few images the lowest one measured is too low.",
        SHARE, "empirical Bayes, Efron & Morris 1975; Morris 1983",
    ),
    "severity_area": Metric(
        "Severity area", "%", "higher",
        "Area under accuracy against severity from clean to the highest, trapezoids, / that severity.",
        SHARE,
    ),
    # of several training seeds
    "rank": Metric("Rank", "", None, "Place by mca among the activations of an architecture."),
    "activation": Metric("Activation", "", None, "Activation function of the networks."),
    "normalization": Metric("Normalisation", "", None, "Normalisation layers of the networks."),
    "network_group": Metric("Network group", "", None, "Group of the networks, as their labels have it."),
    "architecture": Metric("Architecture", "", None, "Network; unlike ones are not ranked together."),
    "seeds": Metric("Seeds", "", None, "Number of checkpoints (training seeds) averaged."),
    "joint_low": Metric(
        "Low", "%", None, "Lower end of the 95% interval of mca over other trainings and other images; "
        "the intervals of all rows of an architecture hold together.",
    ),
    "joint_high": Metric("High", "%", None, "Upper end of that interval."),
    "rank_low": Metric(
        "Best rank", "", None, "1 + the activations that are surely more robust (joint analysis, Holm)."
    ),
    "rank_high": Metric(
        "Worst rank", "", None, "Rank if every activation that is not surely less robust were before it."
    ),
    "first": Metric(
        "P(first)", "%", "higher",
        "Probability of the largest mca over other trainings and images, drawn from the joint model.", SHARE,
    ),
    "spread": Metric(
        "Spread", "points", "lower", "Standard deviation of mca over seeds (k - 1).", (0.0, math.inf)
    ),
}  # fmt: skip


def group_metric(group: str) -> Metric:
    """Return what the column `group_<group>` holds.

    >>> group_metric("noise").title, group_metric("shift").title
    ('noise', 'input shifts')
    """
    if group == SHIFT:
        about = "Accuracy under input shifts, averaged as mca is, of which they are no part."
    else:
        about = f"Accuracy on the {group} corruptions, averaged as mca is."
    return Metric(group_label(group), "%", "higher", about, SHARE)
