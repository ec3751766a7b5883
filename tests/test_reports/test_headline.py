"""Reports: input shifts have blocks of their own, and are in no mean, order or sentence of corruptions."""

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from reports.analysis import Analysis
from reports.html import html_page
from reports.multi_run.join import join
from reports.sections.heat import heat
from reports.sections.verdict import verdict
from robustbench_act.run import Run
from tests.build_run import Builder
from tests.test_reports.pieces import section_of
from tests.test_robustbench_act.test_headline import CORRECT, CORRUPTIONS, SHIFTS, run

SECTIONS = ("verdict", "leaderboard", "heat", "tradeoff", "significance", "classes", "profile", "glossary")


def page(analysis: Analysis, *names: str) -> str:
    return html_page(analysis, [section_of(analysis, name) for name in names])


def worse(of: Run, *, corruptions: Sequence[tuple[str, str]] = CORRUPTIONS) -> Run:
    """Return the run with half of what was right in its last severity of the first corruption."""
    correct = {
        key: (*own[:2], own[2] // 2, *own[3 : 1 + 2 * len(corruptions)]) for key, own in CORRECT.items()
    }
    return replace(Builder(correct=correct, corruptions=corruptions).run("later"), info=of.info)


def test_the_heat_map_has_shifts_last_after_the_mean_of_all_corruptions() -> None:
    blocks = heat(Analysis(run())).content["blocks"]
    assert [block["group"] for block in blocks] == ["", "weather", "digital", "all", "input shifts"]
    (mean,) = blocks[3]["rows"]
    relu = next(place for place, cell in enumerate(mean["cells"]) if cell["activation"] == "relu")
    assert mean["cells"][relu]["texts"] == ["47.5", "52.5", "42.5"]  # 100 and 110, 80 and 90 of 200
    assert [row["name"] for row in blocks[4]["rows"]] == ["shift_up"]


def test_the_verdict_is_about_corruptions() -> None:
    content = verdict(Analysis(run())).content
    assert content["verdicts"][0].startswith("SiLU comes first: it has 55.0% accuracy on corrupted images")
    assert "shift" not in content["fallen"]  # though silu loses most there
    assert content["facts"][1] == ("2 corruptions", "and 1 input shift, severity 1 and 5")


def test_the_leaderboard_has_shifts_in_its_last_column() -> None:
    text = page(Analysis(run()), "leaderboard")
    heads = re.findall(r"<th scope=\"col\".*?>([^<]+?) <small>", text)
    assert heads[-3:] == ["Weather", "Digital", "Input shifts"]
    assert "Input shifts stand apart, in the last column" in text


@pytest.mark.parametrize("name", SECTIONS)
def test_a_run_of_shifts_alone_speaks_of_shifts(name: str) -> None:
    text = re.sub(
        r"<(script|style).*?</\1>|<header>.*?</header>", "", page(Analysis(run(SHIFTS)), name), flags=re.S
    )
    said = re.sub(r"<[^>]+>", " ", text)
    assert not re.search(r"corrupted|all corruptions|over corruptions", said, flags=re.I), said
    assert re.search(r"shifted|input shifts", said, flags=re.I) or name == "heat"


def test_layers_are_those_of_corruptions() -> None:
    whole, analysis = run(), Analysis(run())
    assert set(analysis.layers["corruption"]) == {"clean", "fog", "jpeg_compression"}
    assert set(Analysis(run(SHIFTS)).layers["corruption"]) == {"clean", "shift_up", "shift_gaussian"}
    assert "shift_up" in set(whole.layers["corruption"])


def test_what_changed_under_shifts_is_said_apart() -> None:
    corruptions = (("shift_up", "shift"), ("shift_gaussian", "shift"), ("fog", "weather"))
    old = Builder(correct=CORRECT, corruptions=corruptions).run("old")
    found = Analysis(join([old, worse(old, corruptions=corruptions)]))
    row = found.between.iloc[0]
    assert (row["mca"], row["lost"], row["lost_change"]) == (0.0, "fog", 0.0)
    assert row["group_shift"] < -0.05
    content = verdict(found).content
    assert "does not change in accuracy on corrupted images" in content["verdicts"][0]
    said = " ".join(content["leads"])
    assert "Of 2 input shifts, the mean of these networks loses under 1 (shift_up" in said
    assert "corruptions, the mean" not in said
