"""What the words of the report mean."""

from reports.analysis import Analysis
from reports.layout import Section
from reports.names import label
from robustbench_act.metrics import LAYER_METRICS

_LAYER_METRICS = ("fluctuation_ratio", "input_disturbance", "scale_free_amplification", "activation_offset")


def glossary(analysis: Analysis) -> Section:
    """Return the section of definitions."""
    anchor = label(analysis.anchor) if analysis.anchor else ""
    content = {"labelled": analysis.run.labelled, "anchor": anchor}
    metrics = [LAYER_METRICS[name] for name in _LAYER_METRICS]
    return Section("glossary", "Glossary", "Glossary", {**content, "layer_metrics": metrics})
