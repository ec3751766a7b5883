"""What other programs read is valid, whatever a checkpoint is called."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lxml import etree

from robustbench_act.gate import Check, Rule, Rules, check, junit_xml, make_baseline, summary_markdown
from tests.build_run import simulated_run

NAME = "a|<b>&*\x07_"


@pytest.fixture(scope="module")
def schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(Path(__file__).parents[2] / "references" / "junit.xsd"))


@pytest.fixture(scope="module")
def found() -> Check:
    right = np.random.default_rng(0).random((5, 400)) < 0.7
    baseline = make_baseline(
        simulated_run({NAME: right, "c": right}), Rules((Rule(margin=5), Rule("ece"))), unit="weights"
    )
    worse = right & (np.random.default_rng(1).random((5, 400)) < 0.8)
    return check(simulated_run({NAME: worse, "c": right}), baseline)


def test_junit_is_valid_and_says_the_same(found: Check, schema: etree.XMLSchema) -> None:
    tree = etree.fromstring(junit_xml(found))
    schema.assertValid(tree)
    cases = tree.findall(".//testcase")
    assert [case.get("classname") for case in cases][::2] == ["actrobust.a|<b>&*�_", "actrobust.c"]
    assert [case.get("name") for case in cases][:2] == [
        "accuracy on corruptions",
        "ece on corruptions",
    ]
    failures = tree.findall(".//failure")
    assert [failure.get("message") for failure in failures] == [found.reasons[0].replace("\x07", "�")]
    assert tree.get("failures") == tree[0].get("failures") == "1"
    assert tree.get("tests") == "4"
    assert [case.find("system-out") is None for case in cases] == [True, False, False, False]


def test_the_schema_refuses_what_is_not_junit(schema: etree.XMLSchema) -> None:
    assert not schema.validate(etree.fromstring('<testsuites><testsuite name="x"/></testsuites>'))
    assert not schema.validate(etree.fromstring("<tests/>"))


def test_markdown_shows_names_as_they_are(found: Check) -> None:
    text = summary_markdown(found)
    assert text.startswith("### Robustness fell: 1 of 4 lines fell, 3 kept, 0 undecided.\n")
    rows = [line for line in text.splitlines() if line.startswith("| ") and "fell" in line]
    assert len(rows) == 1
    assert rows[0].startswith(r"| a\|\<b\>\&\*\\x07\_ |")
    assert rows[0].replace(r"\|", "").count("|") == 11
    assert "400 images; no worse than: 95 % each line; p: of not being worse than tolerance" in text


def test_a_long_summary_keeps_its_worst_rows_and_says_so(found: Check) -> None:
    """As many rows as fit: the same, with one more, would be too long."""
    whole = summary_markdown(found)
    assert summary_markdown(found, room=len(whole.encode())) == whole
    table = pd.concat([found.table] * 30, ignore_index=True)
    table["name"] = [f"net {place}" for place in range(120)]
    table["worse"] = [0.1 * (place % 7) for place in range(120)]
    table["verdict"] = ["fell" if place % 40 == 39 else "kept" for place in range(120)]
    many = replace(found, table=table)
    text = summary_markdown(many, room=4000)
    rows = [line for line in text.splitlines() if line.startswith("| net")]
    assert len(text.encode()) <= 4000 <= len(text.encode()) + len(rows[-1])
    assert f"Cut to what a step's summary may hold: the worst {len(rows)} of 120 rows." in text
    kept = [int(row.split()[2]) for row in rows]
    assert sorted(kept[:3]) == [39, 79, 119]
    worse = table["worse"].to_numpy()
    assert worse[kept[3:]].min() >= np.delete(worse, kept).max()
    assert summary_markdown(many, room=100) == ""


def test_markdown_of_a_pass() -> None:
    run = simulated_run({"a": np.ones((5, 8), dtype=bool)})
    text = summary_markdown(check(run, make_baseline(run, margin=1)))
    assert text.startswith("### Robustness kept: 4 lines.")
    assert "| a | accuracy on corruptions | 100.00 | 100.00 | 0.00 | 0.00 | 0.3 | 1 | 1 | kept |" in text


def test_undecided_lines_are_skipped_or_fail(schema: etree.XMLSchema) -> None:
    before = np.random.default_rng(0).random((5, 400)) < 0.7
    after = np.random.default_rng(1).random((5, 400)) < 0.7
    baseline = make_baseline(simulated_run({"a": before}), Rules((Rule(margin=0.3),)))
    for prove, kind in ((False, "skipped"), (True, "failure")):
        found = check(simulated_run({"a": after}), baseline, prove=prove)
        tree = etree.fromstring(junit_xml(found))
        schema.assertValid(tree)
        (case,) = tree.findall(f".//{kind}")
        assert "undecided: no worse than" in case.get("message")
        assert found.passed is not prove
