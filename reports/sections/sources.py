"""Where the numbers come from, what failed, and what the words mean."""

from reports import words
from reports.analysis import Analysis
from reports.layout import Section, Table
from reports.names import label
from reports.provenance import provenance


def failed(analysis: Analysis) -> Section:
    """Return the section of the checkpoints that failed; without content where none has."""
    table = analysis.failed
    names = ["checkpoint", "architecture", "activation", "training_seed", "failed_cells", "error"]
    shown = Table(
        caption="Failed checkpoints: in no average of this report",
        headings=["Checkpoint", "Architecture", "Activation", "Training seed", "Failed cells", "Error"],
        rows=[[words.plain(row[name]) for name in names] for _, row in table.iterrows()],
    )
    return Section("failed", "Failed checkpoints", "Failed", {} if table.empty else {"table": shown})


def sources(analysis: Analysis) -> Section:
    """Return the section of `run.json`."""
    found = provenance(analysis.run.info)
    return Section(
        "provenance", "Provenance", "Provenance", {"provenance": found}, tables=[found.checkpoints]
    )


def glossary(analysis: Analysis) -> Section:
    """Return the section of definitions."""
    base = label(analysis.baseline) if analysis.baseline else ""
    return Section("glossary", "Glossary", "Glossary", {"labelled": analysis.run.labelled, "baseline": base})
