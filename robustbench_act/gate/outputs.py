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
    """Return the check as JUnit XML: a test case for each line, with its text.

    An undecided one counts as skipped; as failed if the check asks for proof.
    """
    failing = found.failures
    skipped = (found.table["verdict"] == "undecided") & ~failing
    count = {"tests": str(len(found.table)), "failures": str(int(failing.sum()))}
    root = ET.Element("testsuites", {"name": "actrobust", **count})
    more = {"errors": "0", "skipped": str(int(skipped.sum())), "time": "0"}
    suite = ET.SubElement(root, "testsuite", {"name": "actrobust check", **count, **more})
    for row, fails in zip(found.table.to_dict("records"), failing.tolist(), strict=True):
        name = {"classname": _printable(f"actrobust.{row['name']}"), "name": _printable(_case(row))}
        case = ET.SubElement(suite, "testcase", {**name, "time": "0"})
        text = _printable(row["text"])
        if fails:
            kind = {"message": text, "type": row["verdict"]}
            ET.SubElement(case, "failure", kind).text = text
        elif row["verdict"] == "undecided":
            ET.SubElement(case, "skipped", {"message": text})
        else:
            ET.SubElement(case, "system-out").text = text
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _case(row: Mapping[Hashable, Any]) -> str:
    return f"{row['rule']}, against the anchor" if row["against"] == "anchor" else str(row["rule"])


def summary_markdown(found: Check, *, room: int = SUMMARY_BYTES) -> str:
    """Return the check as Markdown: the verdict, a line for each reason, the table.

    If it is longer than `room`, in bytes of UTF-8, the worst rows are kept, as many as fit, and it says so;
    it is empty if not even the verdict fits.
    """
    text = _summary(found, found.table)
    if len(text.encode()) <= room:
        return text
    rank = found.table["verdict"].map({"fell": 0, "undecided": 1, "kept": 2})
    excess = found.table["worse"] - found.table["tolerance"]
    order = pd.DataFrame({"rank": rank, "excess": -excess.where(excess.notna(), np.inf)})
    worst = found.table.loc[order.sort_values(["rank", "excess"], kind="stable").index]
    most = bisect_right(range(len(worst)), room, key=lambda rows: len(_summary(found, worst[:rows]).encode()))
    return _summary(found, worst[: most - 1]) if most else ""


def _summary(found: Check, rows: pd.DataFrame) -> str:
    cut = f"Cut to what a step's summary may hold: the worst {len(rows):,} of {len(found.table):,} rows."
    what = "checkpoint" if found.unit == "weights" else "activation"
    heads = (what, "", "baseline", "now", "worse by", "no worse than", "tolerance", "margin", "p", "")
    reasons = dict.fromkeys(rows.loc[found.failures[rows.index], "text"])
    return "\n".join(
        [
            f"### {found.sentence}",
            "",
            *([cut, ""] if len(rows) < len(found.table) else []),
            *(f"- {literal_markdown(reason)}" for reason in reasons),
            "",
            f"| {' | '.join(heads)} |",
            "|---|---|---:|---:|---:|---:|---:|---:|---:|---|",
            *(_markdown_row(row) for row in rows.to_dict("records")),
            "",
            f"{found.images:,} images; no worse than: 95 % each line; p: of not being worse than tolerance, "
            f"corrected for all lines, level {found.level:g}.",
            "",
        ]
    )


def _markdown_row(row: Mapping[Hashable, Any]) -> str:
    numbers = ("baseline", "value", "worse", "bound")
    texts = [
        literal_markdown(row["name"]),
        literal_markdown(_case(row)),
        *("–" if pd.isna(row[name]) else f"{row[name]:.2f}" for name in numbers),
        f"{row['tolerance']:g}",
        "–" if pd.isna(row["margin"]) else f"{row['margin']:g}",
        "–" if pd.isna(row["adjusted"]) else f"{row['adjusted']:.2g}",
        "**fell**" if row["verdict"] == "fell" else row["verdict"],
    ]
    return f"| {' | '.join(texts)} |"


def _printable(text: str) -> str:
    """Replace what XML 1.0 cannot hold."""
    return _NOT_XML.sub("�", text)
