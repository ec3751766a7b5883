"""What a network's errors are measured against: AlexNet's on ImageNet-C, or any run's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, logit, stdtrit

from corruptions.severity import SEVERITIES
from robustbench_act.errors import InputError
from robustbench_act.metrics.scores import checkpoint_scores, image_accuracy_by_corruption
from robustbench_act.records import RunInfo, headline, succeeded
from robustbench_act.statistics import Interval, are_equal, mean_interval

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


LEAST_ERROR, LEAST_ERRORS = 0.01, 10
"""What a reference must err, or lose, under every corruption: this share, and this many images. Below ten
images the denominator of a ratio is off by a third by chance, too far for its mean and its interval; below
1 % a single corruption decides the mean over all."""

MODELS, SPAN = 10, 1.0
"""What a line of effective robustness takes: ten models whose logits of clean accuracy span 1 (say, from 90
to 96 %). Training seeds of one network have no such span: their line is chance."""


class Line(NamedTuple):
    """logit(mca) = intercept + slope logit(clean) by least squares, with the slope's 95 % interval."""

    intercept: float
    slope: float
    low: float
    high: float
    models: int


@dataclass(frozen=True, eq=False)
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
        Through its checkpoints; None if `no_line` says why.
    image_errors
        (corruptions, images): mean error of each image, in the order of the run's images. None if it is
        unknown, or if the reference was measured on other images: then mCE has no interval.
    published
        Whether the errors are fixed figures, without chance of their own.
    """

    name: str
    errors: Mapping[str, float]
    clean_error: float
    severities: tuple[float, ...]
    line: Line | None = None
    no_line: str = ""
    image_errors: pd.DataFrame | None = None
    published: bool = False

    def expected(self, clean: "pd.Series[float]") -> "pd.Series[float]":
        """Return the `mca` that the line gives for clean accuracies; NaN without a line."""
        if self.line is None:
            return clean * np.nan
        return pd.Series(expit(self.line.intercept + self.line.slope * _logit(clean)), index=clean.index)

    def refusals(self, images: int | None) -> dict[str, str]:
        """Return the metrics that this reference cannot carry on so many images, each with the reason."""
        least = LEAST_ERROR if self.published or not images else max(LEAST_ERROR, LEAST_ERRORS / images)
        found = {}
        for metric, taken, verb in (("mce", 0.0, "errs on"), ("relative_mce", self.clean_error, "loses")):
            name = min(self.errors, key=self.errors.__getitem__)
            share = self.errors[name] - taken
            if share < least:
                found[metric] = (
                    f"{self.name} {verb} {100 * share:.1f}% under {name}, and a ratio needs "
                    f"{100 * least:.1f}% (1%, and {LEAST_ERRORS} images)"
                )
        if self.no_line:
            found["effective"] = self.no_line
        return found

    def mce_interval(self, errors: pd.DataFrame) -> Interval:
        """Return the interval of mCE over images by the delta method, from a network's `image_errors`.

        The images of network and reference are paired. NaN if those of the reference are unknown.
        """
        errors = errors.loc[list(self.errors)]
        base = pd.Series(self.errors, dtype=float)
        own = self.image_errors
        if not self.published and (own is None or own.shape[1] != errors.shape[1]):
            return Interval(np.nan, np.nan)
        ratios = errors.mean(axis=1) / base
        moved = errors.sub(errors.mean(axis=1), axis=0)
        if own is not None:
            moved = errors - own.loc[errors.index].mul(ratios, axis=0)
        effect = moved.div(base, axis=0).mean().to_numpy()
        if are_equal(effect, size=1.0):
            return Interval(np.nan, np.nan)
        return mean_interval(ratios.mean() + effect)


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
    return Reference(
        "AlexNet", ALEXNET, ALEXNET_CLEAN_ERROR, SEVERITIES, no_line="AlexNet is one model", published=True
    )


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
    errors = {str(corruption): 1 - float(value) for corruption, value in accuracy.items()}
    line, no_line = _line(scores)
    return Reference(
        name,
        errors,
        1 - float(scores["clean"].mean()),
        tuple(sorted(bad["severity"].unique().tolist())),
        line,
        no_line,
        _image_errors(bad),
    )


def _image_errors(bad: pd.DataFrame) -> pd.DataFrame | None:
    if "outcomes" not in bad:
        return None
    each = [1 - image_accuracy_by_corruption(rows) for _, rows in bad.groupby("checkpoint")]
    return sum(each[1:], start=each[0]) / len(each)


def _line(scores: pd.DataFrame) -> tuple[Line | None, str]:
    """Return the line, or why it cannot be drawn. A model at 0 or 100 % has no logit and is left out."""
    inside = scores[scores[["clean", "mca"]].gt(0).all(axis=1) & scores[["clean", "mca"]].lt(1).all(axis=1)]
    clean = _logit(inside["clean"])
    span = clean.max() - clean.min() if len(inside) else 0.0
    if len(inside) < MODELS or span < SPAN:
        return None, (
            f"a line takes {MODELS} models whose logits of clean accuracy span {SPAN:g}, "
            f"got {len(inside)} that span {span:.2f}"
        )
    from scipy.stats import linregress  # noqa: PLC0415 - scipy.stats takes half a second to load

    found = linregress(clean, _logit(inside["mca"]))
    half = float(stdtrit(len(inside) - 2, 0.975)) * found.stderr
    return Line(found.intercept, found.slope, found.slope - half, found.slope + half, len(inside)), ""


def _logit(share: "pd.Series[float]") -> "pd.Series[float]":
    """Return log(p / (1 - p)), shares held off 0 and 1 by a thousandth of a point."""
    return pd.Series(logit(share.clip(1e-5, 1 - 1e-5)), index=share.index)
