from .anact import NormalizedActivation as NormalizedActivation, NReLU as NReLU, NSwish as NSwish
from .facts import (
    ActivationFacts as ActivationFacts,
    activation_facts as activation_facts,
    activation_label as activation_label,
    activation_name as activation_name,
    list_activations as list_activations,
)
from .layeract import LAHardSiLU as LAHardSiLU, LASiLU as LASiLU
from .layers import (
    PerCall as PerCall,
    activation_layers as activation_layers,
    activation_slope as activation_slope,
)
from .registry import get_activation as get_activation
from .replacement import replace_activations as replace_activations
