"""What the words of the report mean."""

from collections.abc import Iterable, Iterator
from typing import Any

from reports.analysis import Analysis
from reports.layout import Section
from reports.names import label, plain_name
from robustbench_act.activations.facts import known_facts
from robustbench_act.metrics import LAYER_METRICS

_LAYER_METRICS = ("fluctuation_ratio", "input_disturbance", "scale_free_amplification", "activation_offset")


def glossary(analysis: Analysis) -> Section:
    """Return the section of definitions."""
    anchor = label(analysis.anchor) if analysis.anchor else ""
    content: dict[str, Any] = {"labelled": analysis.run.labelled, "anchor": anchor}
    metrics = [LAYER_METRICS[name] for name in _LAYER_METRICS]
    content |= {"layer_metrics": metrics, "formulas": list(_formulas(analysis.activations))}
    return Section("glossary", "Glossary", "Glossary", content)


def _formulas(activations: Iterable[str]) -> Iterator[str]:
    """Yield the formula of each activation that has one, with its source; parameters do not matter."""
    for name in dict.fromkeys(map(plain_name, activations)):
        facts = known_facts(name)
        if facts is not None and facts.formula:
            source = f" ({facts.source})" if facts.source else ""
            yield f"{label(name)}: {facts.formula}{source}"
