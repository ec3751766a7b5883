"""What a network's errors are measured against: AlexNet's on ImageNet-C, or any run's."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from corruptions.severity import SEVERITIES
from robustbench_act.errors import InputError
from robustbench_act.metrics.scores import checkpoint_scores
from robustbench_act.records import RunInfo, headline, succeeded
from robustbench_act.statistics import with_ties

ALEXNET_CLEAN_ERROR = 0.435
ALEXNET: Mapping[str, float] = {
    "gaussian_noise": 0.886428,
    "shot_noise": 0.894468,
    "impulse_noise": 0.922640,
    "defocus_blur": 0.819880,
    "glass_blur": 0.826268,
    "motion_blur": 0.785948,
    "zoom_blur": 0.798360,
    "snow": 0.866816,
    "frost": 0.826572,
    "fog": 0.819324,
    "brightness": 0.564592,
    "contrast": 0.853204,
    "elastic_transform": 0.646056,
    "pixelate": 0.717840,
    "jpeg_compression": 0.606500,
}
"""Top-1 error of AlexNet on ImageNet-C, mean over severities 1 to 5: the common 15, as mCE is published.

Hendrycks & Dietterich 2019 (arXiv 1903.12261); the figures as facebookresearch/augmentation-corruption and
alibaba/easyrobust have them, alike.
"""


@dataclass(frozen=True)
class Reference:
    """What mCE and effective robustness are relative to.

    Attributes
    ----------
    name
        For people: every number that is relative to it names it.
    errors
        Mean error over the severities, by corruption.
    severities
        That the means are over.
    line
        (a, b) of logit(mca) = a + b logit(clean), the least squares line of its checkpoints; None if
        it has fewer than three of different clean accuracy.
    """

    name: str
    errors: Mapping[str, float]
    clean_error: float
    severities: tuple[float, ...]
    line: tuple[float, float] | None = field(default=None)

    def expected(self, clean: "pd.Series[float]") -> "pd.Series[float]":
        """Return the `mca` that the line gives for clean accuracies; NaN without a line."""
        if self.line is None:
            return clean * np.nan
        intercept, slope = self.line
        return pd.Series(expit(intercept + slope * _logit(clean)), index=clean.index)


def alexnet(info: RunInfo) -> Reference:
    """Return AlexNet's errors on ImageNet-C as the reference of a run.

    Raises InputError if the run is not on ImageNet-C: 1,000 classes, the constants of 224 pixels, severities
    1 to 5.
    """
    classes, severities = len(info.dataset.classes), info.severities
    tables = sorted({suite.table for suite in info.suites})
    if classes != 1000 or tables != ["224"] or severities != SEVERITIES:
        raise InputError(
            "AlexNet's errors are those on ImageNet-C: expected 1,000 classes, table 224 and severities "
            f"1,2,3,4,5, got {classes}, {', '.join(tables)} and {','.join(f'{s:g}' for s in severities)}. "
            "Take a run or an activation as reference."
        )
    return Reference("AlexNet", ALEXNET, ALEXNET_CLEAN_ERROR, SEVERITIES)


def run_reference(cells: pd.DataFrame, name: str) -> Reference:
    """Return the mean of some checkpoints as the reference, over the corruptions of `records.headline`.

    `cells` are those of the checkpoints that make the reference. Raises InputError if none of them was
    measured whole.
    """
    scores = checkpoint_scores(cells)
    if scores.empty:
        raise InputError(f"Reference {name}: has no checkpoint without an error.")
    bad = headline(succeeded(cells))
    accuracy = bad.groupby("corruption", sort=False)["accuracy"].mean()
    return Reference(
        name,
        {str(corruption): 1 - float(value) for corruption, value in accuracy.items()},
        1 - float(scores["clean"].mean()),
        tuple(sorted(bad["severity"].unique().tolist())),
        _line(scores),
    )


def _line(scores: pd.DataFrame) -> tuple[float, float] | None:
    if len(np.unique(with_ties(scores["clean"]))) < 3:
        return None
    slope, intercept = np.polyfit(_logit(scores["clean"]), _logit(scores["mca"]), 1)
    return float(intercept), float(slope)


def _logit(share: "pd.Series[float]") -> "pd.Series[float]":
    """Return log(p / (1 - p)), shares held off 0 and 1 by a thousandth of a point."""
    return pd.Series(logit(share.clip(1e-5, 1 - 1e-5)), index=share.index)
