"""What happens inside the activation layers."""

from robustbench_act.probes.gradients import gradient_variance
from robustbench_act.probes.injection import Injection
from robustbench_act.probes.per_sample import SampleStatistics
from robustbench_act.probes.probe import DEFAULT_METRICS, METRICS, Layer, Probe

__all__ = [
    "DEFAULT_METRICS",
    "METRICS",
    "Injection",
    "Layer",
    "Probe",
    "SampleStatistics",
    "gradient_variance",
]
