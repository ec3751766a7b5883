"""The quantities of a cell, each declared once: adding one is an entry here.

Parts, failed cells, tables, summaries, the gate and `robustbench_act.metrics.METRICS` follow. Each is counted
from a network's `Answers` to all images of a unit of work.
"""

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from robustbench_act.tally.answers import Answers
from robustbench_act.tally.calibration import calibration_error, debiased_calibration_error
from robustbench_act.tally.metric import SHARE, Metric
from robustbench_act.tally.outcomes import pack_outcomes, unpack_outcomes
from robustbench_act.tally.quantity_kinds import (
    Digest,
    ImageBytes,
    MeanOverImages,
    OfFirstChunk,
    OverAllImages,
    Quantity,
)

if TYPE_CHECKING:
    from torch import Tensor

THUMBNAILS = 4
"""The first images of a run, which are shown with their predictions."""

HENDRYCKS = "Hendrycks & Dietterich 2019, arXiv 1903.12261"


def _correct(answers: Answers) -> "Tensor":
    """Whether each image has its label on top: bool (versions, images)."""
    return answers.predicted == answers.label


OUTCOMES = ImageBytes("outcomes", of_images=_correct, pack=pack_outcomes, unpack=unpack_outcomes)
CONFIDENCE = ImageBytes(
    "confidence",
    of_images=lambda a: a.probability.amax(-1),
    pack=lambda rows: [row.tobytes() for row in rows],
    unpack=lambda packed, count: np.frombuffer(packed, np.float32, count),
    kept=False,
)

CELL_QUANTITIES: tuple[Quantity, ...] = (
    MeanOverImages(
        "accuracy", needs_labels=True, count_name="correct",
        of_images=_correct,
        metric=Metric("Accuracy", "%", "higher", "Share of images with their label on top.", SHARE),
    ),
    MeanOverImages(
        "top5", needs_labels=True,
        of_images=lambda a: (a.logits > a.of_label(a.logits)[..., None]).sum(-1) < 5,
        metric=Metric(
            "Top-5", "%", "higher", "Share of images with under 5 logits above the label's.", SHARE
        ),
    ),
    MeanOverImages(
        "loss", needs_labels=True,
        of_images=lambda a: -a.of_label(a.log_probability),
        metric=Metric(
            "NLL", "nats", "lower", "Negative log-likelihood: mean of -log p of the label.", (0.0, math.inf)
        ),
    ),
    MeanOverImages(
        "brier", needs_labels=True,
        of_images=lambda a: (a.probability - a.one_hot).square().sum(-1),
        metric=Metric(
            "Brier", "", "lower", "Mean over images of the sum over classes of (p - [class is label])^2.",
            (0.0, 2.0), "Brier 1950",
        ),
    ),
    OverAllImages(
        "ece", needs_labels=True,
        function=calibration_error, of=(CONFIDENCE, OUTCOMES),
        metric=Metric(
            "ECE", "%", "lower",
            "Calibration error: sum over 15 confidence bins of equal width of "
            "n_b/n |accuracy_b - confidence_b|.",
            SHARE, "Guo et al. 2017, arXiv 1706.04599",
        ),
    ),
    OverAllImages(
        "ece_debiased", needs_labels=True,
        function=debiased_calibration_error, of=(CONFIDENCE, OUTCOMES),
        metric=Metric(
            "ECE, debiased", "%", "lower",
            "Root of sum n_b/n (accuracy_b - confidence_b)^2 over the bins of ECE, less what chance adds; "
            "around 0 (or below) if the network is calibrated.",
            (-1.0, 1.0), "Kumar, Liang & Ma 2019, arXiv 1909.10155",
        ),
    ),
    OverAllImages(
        "ece_mass", needs_labels=True,
        function=partial(calibration_error, equal_mass=True), of=(CONFIDENCE, OUTCOMES),
        metric=Metric(
            "ECE, equal mass", "%", "lower", "As ECE, over 15 bins of equally many images.", SHARE,
            "Nguyen & O'Connor 2015, arXiv 1508.05154",
        ),
    ),
    MeanOverImages(
        "agreement",
        of_images=lambda a: a.predicted == a.clean,
        metric=Metric(
            "Agreement", "%", "higher", "Share of images with the prediction that they have clean.", SHARE
        ),
    ),
    MeanOverImages(
        "severity_flips",
        of_images=lambda a: ~a.is_like_before(),
        metric=Metric(
            "Severity flips", "%", "lower",
            "Share of images whose predicted class changes from the next lower severity; depends on the "
            "severities run.",
            SHARE, f"adapted from the flip rate of {HENDRYCKS}, section 4.3, whose frames are one sequence",
        ),
    ),
    OUTCOMES,  # without labels: agreement
    CONFIDENCE,
    OfFirstChunk(
        "predicted",
        texts=lambda a: [" ".join(map(str, own)) for own in a.predicted[:, :THUMBNAILS].tolist()],
    ),
    Digest("pixels"),  # of the corrupted images
)  # fmt: skip
"""In the order of summaries."""
