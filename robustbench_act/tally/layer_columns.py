"""The columns of a layer's quantities. Definitions: `robustbench_act.probes`.

Loads without torch.
"""

import math
from collections.abc import Mapping

from robustbench_act.tally.columns import IDENTITY, KEYS, REQUIRED_IDENTITY
from robustbench_act.tally.mergeable_stats import QUANTILES, quantile_name
from robustbench_act.tally.metric import Metric

QUANTITIES = (
    "input_fluctuation",
    "output_fluctuation",
    "input_relative",
    "output_relative",
    "amplification",
    "input_disturbance",
    "output_disturbance",
    "scale_free_amplification",
)
"""Measured for every sample: tables have their mean and variance over samples."""

LAYERACT, ANACT = "LayerAct, arXiv 2306.04940", "ANAct, arXiv 2208.13315"

LAYER_METRICS: Mapping[str, Metric] = {
    "input_fluctuation": Metric(
        "Input fluctuation", "", "lower", "Σᵢ |ŷᵢ − yᵢ|, clean input y, shifted input ŷ of an image.",
        (0.0, math.inf), LAYERACT,
    ),
    "output_fluctuation": Metric(
        "Output fluctuation", "", "lower", "Σᵢ |âᵢ − aᵢ|, clean output a, shifted output â of an image.",
        (0.0, math.inf), LAYERACT,
    ),
    "amplification": Metric(
        "Amplification", "", "lower",
        "Output fluctuation / input fluctuation of an image, in the units of the layer; mean over images.",
        (0.0, math.inf), f"the ratio of the two of {LAYERACT}",
    ),
    "fluctuation_ratio": Metric(
        "Fluctuation ratio", "", "lower",
        "Mean output fluctuation / mean input fluctuation, in the units of the layer.",
        (0.0, math.inf), f"the ratio of the two of {LAYERACT}",
    ),
    "input_disturbance": Metric(
        "Input disturbance", "", "lower",
        "rmsᵢ(ŷᵢ − yᵢ) / sdᵢ(yᵢ) of an image: how far its input moves, in its standard deviations.",
        (0.0, math.inf),
    ),
    "output_disturbance": Metric(
        "Output disturbance", "", "lower",
        "rmsᵢ(âᵢ − aᵢ) / sdᵢ(aᵢ) of an image: how far its output moves, in its standard deviations.",
        (0.0, math.inf),
    ),
    "scale_free_amplification": Metric(
        "Scale-free amplification", "", "lower",
        "Output disturbance / input disturbance of an image; mean over images. No units.",
        (0.0, math.inf),
    ),
    "activation_offset": Metric(
        "Offset from zero", "", None,
        "Σᵢ μᵢ² / Σᵢ sᵢ² − 1 / M over M images, with μᵢ the mean and sᵢ the standard deviation of element i: "
        "around 0 if the means are zero.",
        source=f"the zero-like mean of {LAYERACT}, less its sampling variance",
    ),
}  # fmt: skip
"""What some columns mean to people (of QUANTITIES, their means over images)."""

HISTOGRAMS = ("input_fluctuation", "output_fluctuation")
"""Tables also have quantiles of these over samples."""


def mean_columns(side: str) -> tuple[str, ...]:
    """Return the columns of the element means of one side.

    >>> mean_columns("activation")[:3]
    ('activation_mean', 'activation_abs_mean', 'activation_offset')
    """
    return tuple(f"{side}_{name}" for name in ("mean", "abs_mean", "offset", *QUANTILE_NAMES))


QUANTILE_NAMES = tuple(quantile_name(share) for share in QUANTILES)
MEAN_COLUMNS = (*mean_columns("activation_input"), *mean_columns("activation"))
SLOPE_COLUMNS = ("saturated", "dead")
SIGNAL_COLUMNS = (
    "input_variance",
    "output_variance",
    "rho",
    "rho_prime",
    "lambda",
    "normalized_rho",
    "normalized_rho_prime",
)
GRADIENT_COLUMNS = ("gradient_variance",)

PROBE_SAMPLE_COLUMNS = (*MEAN_COLUMNS, *SLOPE_COLUMNS, *SIGNAL_COLUMNS)
"""Measured on the probe sample, the first chunk; slopes and signals in the clean rows only."""

HISTOGRAM_BYTES = [f"{name}_histogram" for name in HISTOGRAMS]
"""In parts alone: the bytes of int64 counts."""

LAYER_KEYS = [*KEYS, "layer", "index", "elements"]
LAYER_COLUMNS = [
    *IDENTITY,
    *LAYER_KEYS[1:],
    "n",
    "nonfinite",
    *(f"{name}_{moment}" for name in QUANTITIES for moment in ("mean", "var")),
    *(f"{name}_{quantile}" for name in HISTOGRAMS for quantile in QUANTILE_NAMES),
    *PROBE_SAMPLE_COLUMNS,
]

REQUIRED_LAYER_COLUMNS = [
    *REQUIRED_IDENTITY,
    *LAYER_KEYS[1:],
    *(f"{side}_fluctuation_{moment}" for side in ("input", "output") for moment in ("mean", "var")),
    "activation_mean",
    "activation_abs_mean",
]
"""What older runs have too."""
