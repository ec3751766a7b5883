"""A check for other programs: JUnit XML, and Markdown for the summary of a GitHub step."""

import re
import xml.etree.ElementTree as ET
from bisect import bisect_right
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from robustbench_act.gate.check import Check
from robustbench_act.texts import literal_markdown

SUMMARY_BYTES = 2**20
"""What GitHub takes as the summary of a step; a longer one is refused as a whole."""

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(found: Check) -> bytes:
    """Return the check as JUnit XML: a test case for each checkpoint and rule."""
    count = {"tests": str(len(found.table)), "failures": str(found.failures)}
    root = ET.Element("testsuites", {"name": "actrobust", **count})
    suite = ET.SubElement(root, "testsuite", {"name": "actrobust check", **count, "errors": "0", "time": "0"})
    for row in found.table.to_dict("records"):
        name = {"classname": _printable(f"actrobust.{row['checkpoint']}"), "name": _printable(row["rule"])}
        case = ET.SubElement(suite, "testcase", {**name, "time": "0"})
        if row["reason"]:
            reason = _printable(row["reason"])
            ET.SubElement(case, "failure", {"message": reason, "type": "robustness"}).text = reason
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def summary_markdown(found: Check, *, room: int = SUMMARY_BYTES) -> str:
    """Return the check as Markdown: the verdict, a line for each reason, the table.

    If it is longer than `room`, in bytes of UTF-8, the worst rows are kept, as many as fit, and it says so;
    it is empty if not even the verdict fits.
    """
    text = _summary(found, found.table)
    if len(text.encode()) <= room:
        return text
    fell, excess = found.table["reason"] != "", found.table["worse"] - found.table["tolerance"]
    order = pd.DataFrame({"fell": fell, "excess": excess.where(excess.notna(), np.inf)})
    worst = found.table.loc[order.sort_values(["fell", "excess"], ascending=False, kind="stable").index]
    most = bisect_right(range(len(worst)), room, key=lambda rows: len(_summary(found, worst[:rows]).encode()))
    return _summary(found, worst[: most - 1]) if most else ""


def _summary(found: Check, rows: pd.DataFrame) -> str:
    fell = f"Robustness fell: {found.failures} of {len(found.table)} checks"
    cut = f"Cut to what a step's summary may hold: the worst {len(rows):,} of {len(found.table):,} rows."
    heads = ("checkpoint", "", "baseline", "now", "worse by", "tolerance", "p", "")
    reasons = dict.fromkeys(reason for reason in rows["reason"] if reason)
    return "\n".join(
        [
            f"### {'Robustness kept' if found.passed else fell}",
            "",
            *([cut, ""] if len(rows) < len(found.table) else []),
            *(f"- {literal_markdown(reason)}" for reason in reasons),
            "",
            f"| {' | '.join(heads)} |",
            "|---|---|---:|---:|---:|---:|---:|---|",
            *(_markdown_row(row) for row in rows.to_dict("records")),
            "",
            f"{found.images:,} images; p after Holm's correction, level {found.level:g}.",
            "",
        ]
    )


def _markdown_row(row: Mapping[Hashable, Any]) -> str:
    texts = [
        literal_markdown(row["checkpoint"]),
        literal_markdown(row["rule"]),
        *("–" if pd.isna(row[name]) else f"{row[name]:.2f}" for name in ("baseline", "value", "worse")),
        f"{row['tolerance']:g}",
        "–" if pd.isna(row["adjusted"]) else f"{row['adjusted']:.2g}",
        "**fell**" if row["reason"] else "ok",
    ]
    return f"| {' | '.join(texts)} |"


def _printable(text: str) -> str:
    """Replace what XML 1.0 cannot hold."""
    return _NOT_XML.sub("�", text)
