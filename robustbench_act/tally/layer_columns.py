"""The columns of a layer's quantities. Definitions: `robustbench_act.probes`.

Loads without torch.
"""

from robustbench_act.tally.columns import IDENTITY, KEYS
from robustbench_act.tally.mergeable_stats import QUANTILES, quantile_name

QUANTITIES = (
    "input_fluctuation",
    "output_fluctuation",
    "input_relative",
    "output_relative",
    "amplification",
)
"""Measured for every sample: tables have their mean and variance over samples."""

HISTOGRAMS = ("input_fluctuation", "output_fluctuation")
"""Tables also have quantiles of these over samples."""


def mean_columns(side: str) -> tuple[str, ...]:
    """Return the columns of the element means of one side.

    >>> mean_columns("activation")[:3]
    ('activation_mean', 'activation_abs_mean', 'activation_near_zero')
    """
    return tuple(f"{side}_{name}" for name in ("mean", "abs_mean", "near_zero", *QUANTILE_NAMES))


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
    *IDENTITY,
    *LAYER_KEYS[1:],
    *(f"{side}_fluctuation_{moment}" for side in ("input", "output") for moment in ("mean", "var")),
    "activation_mean",
    "activation_abs_mean",
]
"""What older runs have too."""
