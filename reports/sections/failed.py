"""The checkpoints that failed."""

from reports.analysis import Analysis
from reports.layout import Section, Table
from reports.names import label
from reports.number_formats import plain


def failed(analysis: Analysis) -> Section:
    """Return the section of the checkpoints that failed; without content if none has."""
    table = analysis.failed
    names = ["checkpoint", "architecture", "activation", "training_seed", "failed_cells", "error"]
    shown = table.assign(activation=[name and label(name) for name in table["activation"]])
    listed = Table(
        caption="Failed checkpoints, left out of every average of this report",
        headings=["Checkpoint", "Architecture", "Activation", "Training seed", "Failed cells", "Error"],
        rows=[[plain(row[name]) for name in names] for _, row in shown.iterrows()],
    )
    return Section("failed", "Failed checkpoints", "Failed", {} if table.empty else {"table": listed})
