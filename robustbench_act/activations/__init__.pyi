from .anact import NormalizedActivation as NormalizedActivation, NReLU as NReLU, NSwish as NSwish
from .contract import check_own_layers as check_own_layers
from .facts import (
    ActivationFacts as ActivationFacts,
    activation_facts as activation_facts,
    list_activations as list_activations,
)
from .layeract import LAHardSiLU as LAHardSiLU, LASiLU as LASiLU, LayerAct as LayerAct
from .layers import (
    PerCall as PerCall,
    activation_layers as activation_layers,
)
from .names import (
    activation_label as activation_label,
    activation_name as activation_name,
    split_activations as split_activations,
)
from .registry import get_activation as get_activation, register_activation as register_activation
from .replacement import replace_activations as replace_activations
from .slopes import activation_slope as activation_slope
