"""What the words of the report mean."""

from reports.analysis import Analysis
from reports.layout import Section
from reports.names import label


def glossary(analysis: Analysis) -> Section:
    """Return the section of definitions."""
    anchor = label(analysis.anchor) if analysis.anchor else ""
    return Section("glossary", "Glossary", "Glossary", {"labelled": analysis.run.labelled, "anchor": anchor})
