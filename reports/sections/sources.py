"""Where the numbers come from, what failed, and what the words mean."""

from reports import words
from reports.digest import Digest
from reports.layout import Section, Table
from reports.provenance import provenance
from reports.style import label


def failed(digest: Digest) -> Section:
    """Return the section of the checkpoints that failed; without content where none has."""
    table = digest.failed
    names = ["checkpoint", "architecture", "activation", "training_seed", "failed_cells", "error"]
    shown = Table(
        caption="Failed checkpoints: in no average of this report",
        headings=["Checkpoint", "Architecture", "Activation", "Training seed", "Failed cells", "Error"],
        rows=[[words.plain(row[name]) for name in names] for _, row in table.iterrows()],
    )
    return Section("failed", "Failed checkpoints", "Failed", {} if table.empty else {"table": shown})


def sources(digest: Digest) -> Section:
    """Return the section of `run.json`."""
    found = provenance(digest.run.info)
    return Section(
        "provenance", "Provenance", "Provenance", {"provenance": found}, tables=[found.checkpoints]
    )


def glossary(digest: Digest) -> Section:
    """Return the section of definitions."""
    base = label(digest.baseline) if digest.baseline else ""
    return Section("glossary", "Glossary", "Glossary", {"labelled": digest.run.labelled, "baseline": base})
