"""A check for other programs: JUnit XML, and Markdown for the summary of a GitHub step."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from robustbench_act.gate.check import Check

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


def summary_markdown(found: Check) -> str:
    """Return the check as Markdown: the verdict, a line for each reason, the table."""
    fell = f"Robustness fell: {found.failures} of {len(found.table)} checks"
    heads = ("checkpoint", "", "baseline", "now", "worse by", "tolerance", "p", "")
    return "\n".join(
        [
            f"### {'Robustness kept' if found.passed else fell}",
            "",
            *(f"- {_literal(reason)}" for reason in found.reasons),
            "",
            f"| {' | '.join(heads)} |",
            "|---|---|---:|---:|---:|---:|---:|---|",
            *(_markdown_row(row) for row in found.table.to_dict("records")),
            "",
            f"{found.images:,} images; p after Holm's correction, level {found.level:g}.",
            "",
        ]
    )


def _markdown_row(row: Mapping[Hashable, Any]) -> str:
    texts = [
        _literal(row["checkpoint"]),
        _literal(row["rule"]),
        *("–" if pd.isna(row[name]) else f"{row[name]:.2f}" for name in ("baseline", "value", "worse")),
        f"{row['tolerance']:g}",
        "–" if pd.isna(row["adjusted"]) else f"{row['adjusted']:.2g}",
        "**fell**" if row["reason"] else "ok",
    ]
    return f"| {' | '.join(texts)} |"


def _printable(text: str) -> str:
    """Replace what XML 1.0 cannot hold."""
    return _NOT_XML.sub("�", text)


def _literal(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~&])", r"\\\1", " ".join(text.split()))
