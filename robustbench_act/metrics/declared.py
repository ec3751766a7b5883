"""Every metric, declared once: what it is called, its unit, direction, bounds, formula and source."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

_HENDRYCKS = "Hendrycks & Dietterich 2019, arXiv 1903.12261"


@dataclass(frozen=True)
class Metric:
    """What a column holds.

    Attributes
    ----------
    title
        Heading for people.
    unit
        The unit it is *shown* in; tables hold shares where it is "%" or "points" (multiply by 100).
    better
        Which direction is good, if either is.
    about
        One line of explanation, with the formula.
    bounds
        Smallest and largest value in tables.
    source
        Paper, where there is one.
    """

    title: str
    unit: Literal["%", "points", "nats", ""]
    better: Literal["higher", "lower"] | None
    about: str
    bounds: tuple[float, float] = (-math.inf, math.inf)
    source: str = ""

    @property
    def scale(self) -> int:
        """What a table's value is multiplied with to be shown."""
        return 100 if self.unit in ("%", "points") else 1

    @property
    def shown_unit(self) -> str:
        """The unit of a difference."""
        return "points" if self.scale == 100 else self.unit


_SHARE = (0.0, 1.0)

METRICS: Mapping[str, Metric] = {
    # of a cell; of a checkpoint the mean over severities, then over corruptions
    "accuracy": Metric("Accuracy", "%", "higher", "Share of images with their label on top.", _SHARE),
    "error": Metric("Error", "%", "lower", "1 - accuracy.", _SHARE),
    "top5": Metric("Top-5", "%", "higher", "Share of images with under 5 logits above the label's.", _SHARE),
    "loss": Metric(
        "NLL", "nats", "lower", "Negative log-likelihood: mean of -log p of the label.", (0.0, math.inf)
    ),
    "brier": Metric(
        "Brier", "", "lower", "Mean over images of the sum over classes of (p - [class is label])^2.",
        (0.0, 2.0), "Brier 1950",
    ),
    "ece": Metric(
        "ECE", "%", "lower",
        "Calibration error: sum over 15 confidence bins of equal width of n_b/n |accuracy_b - confidence_b|.",
        _SHARE, "Guo et al. 2017, arXiv 1706.04599",
    ),
    "ece_mass": Metric(
        "ECE, equal mass", "%", "lower", "As ECE, over 15 bins of equally many images.", _SHARE,
        "Nguyen & O'Connor 2015, arXiv 1508.05154",
    ),
    "agreement": Metric(
        "Agreement", "%", "higher", "Share of images with the prediction that they have clean.", _SHARE
    ),
    "flips": Metric(
        "Flip rate", "%", "lower",
        "Share of images whose prediction differs from the one at the next lower severity of the run.",
        _SHARE, f"{_HENDRYCKS}, section 4.3, severities as frames",
    ),
    # of a checkpoint
    "clean": Metric("Clean", "%", "higher", "Accuracy on the unchanged images.", _SHARE),
    "corrupted": Metric(
        "Corrupted", "%", "higher", "Accuracy: mean over corruptions of the mean over severities.", _SHARE
    ),
    "retained": Metric(
        "Retained", "%", "higher", "Relative robustness: corrupted / clean.", (0.0, math.inf)
    ),
    "mce": Metric(
        "mCE", "%", "lower",
        "Mean corruption error: mean over corruptions of sum_s error / sum_s error of the baseline.",
        (0.0, math.inf), f"{_HENDRYCKS}, section 4.3",
    ),
    "relative_mce": Metric(
        "Relative mCE", "%", "lower",
        "Mean over corruptions of sum_s (error - clean error) / sum_s the same of the baseline.",
        source=f"{_HENDRYCKS}, section 4.3",
    ),
    "effective": Metric(
        "Effective robustness", "points", "higher",
        "Corrupted accuracy above the line logit(corrupted) = a + b logit(clean) of the baseline.",
        (-1.0, 1.0), "Taori et al. 2020, arXiv 2007.00644",
    ),
    "worst_class": Metric(
        "Worst class", "%", "higher", "Lowest accuracy of a class, each averaged as corrupted is.", _SHARE
    ),
    "severity_area": Metric(
        "Severity area", "%", "higher",
        "Area under accuracy against severity from clean to the highest, trapezoids, / that severity.",
        _SHARE,
    ),
    # of several training seeds
    "rank": Metric("Rank", "", None, "Place by corrupted accuracy among the groups of one architecture."),
    "activation": Metric("Activation", "", None, "Activation function of the networks."),
    "architecture": Metric("Architecture", "", None, "Network; unlike ones are not ranked together."),
    "seeds": Metric("Seeds", "", None, "Number of checkpoints (training seeds) averaged."),
    "low": Metric("Low", "%", None, "Lower end of the 95% interval of corrupted over seeds (Student's t)."),
    "high": Metric("High", "%", None, "Upper end of the 95% interval of corrupted over seeds (Student's t)."),
    "spread": Metric(
        "Spread", "points", "lower", "Standard deviation of corrupted over seeds (k - 1).", (0.0, math.inf)
    ),
}  # fmt: skip


def group_metric(group: str) -> Metric:
    """Return what the column `group_<group>` holds.

    >>> group_metric("noise").unit
    '%'
    """
    return Metric(
        group, "%", "higher", f"Accuracy on the {group} corruptions, averaged as corrupted is.", _SHARE
    )
