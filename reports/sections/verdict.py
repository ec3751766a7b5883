"""Who is most robust, by how much, whether it is beyond noise, and what fell."""

from reports import words
from reports.digest import Digest
from reports.layout import Section


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
            "fallen": "" if digest.nothing else words.fallen(digest.grid, digest.measure),
            "notes": words.notes(run.info, digest.scores, labelled=run.labelled),
            "facts": _facts(digest),
        },
    )


def _leads(digest: Digest) -> list[str]:
    several = len(digest.architectures) > 1
    return [
        words.beyond_noise(found, over, where=f" among the {name} networks" if several else "")
        for name, found in digest.significance.items()
        for over in ("images", "seeds")
    ]


def _facts(digest: Digest) -> list[tuple[str, str]]:
    """Return the headline figures as (value, what it counts)."""
    cells = digest.run.cells
    bad = cells[cells["severity"] > 0]
    corruptions = bad["corruption"].nunique() if digest.nothing else len(digest.grid.corruptions)
    severities = words.joined([f"{value:g}" for value in sorted(bad["severity"].unique())])
    compared = f"{words.count(len(digest.activations), 'activation')} compared"
    name = digest.run.info["dataset"]["name"]
    facts = [
        (words.count(cells["checkpoint"].nunique(), "checkpoint"), compared),
        (words.count(corruptions, "corruption"), f"severity {severities}"),
        (words.count(int(cells["n"].max()), "image"), f"of {name}, in every cell"),
    ]
    if not digest.failed.empty:
        facts.append((f"{len(digest.failed)} failed", "left out of every average, listed below"))
    return facts
