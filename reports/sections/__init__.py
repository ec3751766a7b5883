"""The parts of a report, from the verdict to the glossary: functions from an `Analysis` to a `Section`."""

from collections.abc import Callable

from reports.analysis import Analysis
from reports.layout import Section
from reports.sections.between import between
from reports.sections.classes import classes
from reports.sections.curves import curves
from reports.sections.failed import failed
from reports.sections.glossary import glossary
from reports.sections.heat import heat
from reports.sections.layers import means, profile, signals
from reports.sections.leaderboard import leaderboard
from reports.sections.loss import loss
from reports.sections.pictures import pictures
from reports.sections.provenance import provenance
from reports.sections.scores import scores
from reports.sections.significance import significance
from reports.sections.tradeoff import tradeoff
from reports.sections.verdict import verdict

SECTIONS: tuple[Callable[[Analysis], Section], ...] = (
    verdict,
    between,
    leaderboard,
    heat,
    curves,
    scores,
    tradeoff,
    significance,
    classes,
    profile,
    loss,
    means,
    signals,
    pictures,
    failed,
    provenance,
    glossary,
)
"""The sections in the order of the page."""

__all__ = ["SECTIONS"]
