"""Who is most robust, by how much, whether it is beyond noise, and what fell."""

from reports import words
from reports.digest import Digest
from reports.layout import Section
from reports.style import OF_RUN


def verdict(digest: Digest) -> Section:
    """Return the section."""
    run = digest.run
    return Section(
        "verdict",
        "Verdict",
        "Verdict",
        {
            "verdicts": words.verdict(digest.board, labelled=run.labelled),
            "leads": _leads(digest),
            "fallen": ""
            if digest.nothing
            else words.fallen(digest.grid, digest.measure, chance=_chance(digest)),
            "notes": words.notes(run.info, digest.scores, labelled=run.labelled),
            "facts": _facts(digest),
        },
    )


def _leads(digest: Digest) -> list[str]:
    several = len(digest.architectures) > 1
    said = []
    for name, found in digest.significance.items():
        where = f" among the {name} networks" if several else ""
        said += [words.beyond_noise(found, over, where=where) for over in ("images", "seeds")]
        said += [words.standing(found, where=where)] if len(found) > 1 else []
    return said


def _chance(digest: Digest) -> float | None:
    """Return what guessing gives: a class of as many as there are; nobody knows without labels."""
    classes = digest.run.info["dataset"].get("classes")
    return 1 / len(classes) if classes and digest.run.labelled else None


def _facts(digest: Digest) -> list[tuple[str, str]]:
    """Return the headline figures as (value, what it counts)."""
    cells = digest.run.cells
    bad = cells[cells["severity"] > 0]
    corruptions = bad["corruption"].nunique() if digest.nothing else len(digest.grid.corruptions)
    severities = words.joined([f"{value:g}" for value in sorted(bad["severity"].unique())])
    activations = {name.partition(OF_RUN)[0] for name in digest.activations}
    runs = len(digest.run.info.get("runs", ()))
    compared = words.count(len(activations), "activation") + (f" in {runs} runs" if runs else " compared")
    name = digest.run.info["dataset"]["name"]
    facts = [
        (words.count(cells["checkpoint"].nunique(), "checkpoint"), compared),
        (words.count(corruptions, "corruption"), f"severity {severities}"),
        (words.count(int(cells["n"].max()), "image"), f"of {name}, in every cell"),
    ]
    if not digest.failed.empty:
        facts.append((f"{len(digest.failed)} failed", "left out of every average, listed below"))
    return facts
