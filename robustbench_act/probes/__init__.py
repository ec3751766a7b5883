"""What happens inside the activation layers."""

from robustbench_act.probes.layers import LayerProbe, LayerRecord

__all__ = ["LayerProbe", "LayerRecord"]
