"""Activation functions: LayerAct, ANAct and the element-wise ones they are compared with, by name."""

from robustbench_act.activations.anact import NormalizedActivation, NReLU, NSwish
from robustbench_act.activations.layeract import LAHardSiLU, LASiLU
from robustbench_act.activations.layers import PerCall, activation_layers, activation_slope
from robustbench_act.activations.registry import (
    ActivationFacts,
    activation_facts,
    get_activation,
    list_activations,
)
from robustbench_act.activations.replacement import replace_activations

__all__ = [
    "ActivationFacts",
    "LAHardSiLU",
    "LASiLU",
    "NReLU",
    "NSwish",
    "NormalizedActivation",
    "PerCall",
    "activation_facts",
    "activation_layers",
    "activation_slope",
    "get_activation",
    "list_activations",
    "replace_activations",
]
