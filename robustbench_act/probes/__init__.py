"""What happens inside the activation layers."""

from robustbench_act.probes.gradients import gradient_variance
from robustbench_act.probes.image_axes import ImageAxis, RowPrints, find_image_axes, image_axis
from robustbench_act.probes.injection import Injection
from robustbench_act.probes.per_sample import SampleStatistics
from robustbench_act.probes.probe import DEFAULT_METRICS, METRICS, Layer, Probe

__all__ = [
    "DEFAULT_METRICS",
    "METRICS",
    "ImageAxis",
    "Injection",
    "Layer",
    "Probe",
    "RowPrints",
    "SampleStatistics",
    "find_image_axes",
    "gradient_variance",
    "image_axis",
]
