"""What happens inside the activation layers."""

from robustbench_act.probes.layers import LayerProbe, LayerRecord
from robustbench_act.probes.moments import Moments

__all__ = ["LayerProbe", "LayerRecord", "Moments"]
