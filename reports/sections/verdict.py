"""Who is most robust, by how much, whether it is beyond noise, and what fell."""

from reports import words
from reports.analysis import MOST_COMPARED, Analysis
from reports.layout import Section
from reports.multi_run import sentences
from reports.names import split_run


def verdict(analysis: Analysis) -> Section:
    """Return the section."""
    run, found = analysis.run, analysis.run_changes
    first, more = words.verdict(analysis.board, labelled=run.labelled), _leads(analysis)
    if len(found):  # of several runs the question is what changed
        told = sentences.details(found, analysis.between, analysis.corruption_changes)
        more = [*told, sentences.unpaired(analysis.unpaired, several=len(analysis.architectures) > 1), *first]
        first = sentences.verdicts(found, analysis.between, analysis.measure)
    return Section(
        "verdict",
        "Verdict",
        "Verdict",
        {
            "verdicts": first,
            "leads": [sentence for sentence in more if sentence],
            "fallen": ""
            if analysis.nothing
            else words.fallen(analysis.grid, analysis.measure, chance=_chance(analysis)),
            "notes": words.notes(
                run.info,
                analysis.scores,
                labelled=run.labelled,
                probed=analysis.layers["checkpoint"].nunique(),
            ),
            "facts": _facts(analysis),
        },
    )


def _leads(analysis: Analysis) -> list[str]:
    several = len(analysis.architectures) > 1
    said = []
    for name, found in analysis.significance.items():
        where = f" among the {name} networks" if several else ""
        said += [words.beyond_noise(found, over, where=where) for over in ("images", "seeds")]
        known = int((analysis.board["architecture"] == name).sum())
        most = MOST_COMPARED if known > MOST_COMPARED else 0
        said += [words.standing(found, where=where, most=most)] if len(found) > 1 else []
    return said


def _chance(analysis: Analysis) -> float | None:
    """Return what guessing gives: a class of as many as there are; nobody knows without labels."""
    classes = analysis.run.info["dataset"].get("classes")
    return 1 / len(classes) if classes and analysis.run.labelled else None


def _facts(analysis: Analysis) -> list[tuple[str, str]]:
    """Return the headline figures as (value, what it counts)."""
    cells = analysis.run.cells
    bad = cells[cells["severity"] > 0]
    corruptions = bad["corruption"].nunique() if analysis.nothing else len(analysis.grid.corruptions)
    severities = words.joined([f"{value:g}" for value in sorted(bad["severity"].unique())])
    activations = {split_run(name)[0] for name in analysis.activations}
    runs = len(analysis.run.info.get("runs", ()))
    compared = words.count(len(activations), "activation") + (f" in {runs} runs" if runs else " compared")
    name = analysis.run.info["dataset"]["name"]
    facts = [
        (words.count(cells["checkpoint"].nunique(), "checkpoint"), compared),
        (words.count(corruptions, "corruption"), f"severity {severities}"),
        (words.count(int(cells["n"].max()), "image"), f"of {name}, in every cell"),
    ]
    if not analysis.failed.empty:
        facts.append((f"{len(analysis.failed)} failed", "left out of every average, listed below"))
    return facts
