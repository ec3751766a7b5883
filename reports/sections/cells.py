"""Cells that several sections have."""

from typing import Any

from reports import words
from reports.style import change_class, change_step
from robustbench_act.comparison import LEVEL


def change_cell(change: float, adjusted: float) -> dict[str, Any]:
    """Return a change (shares): its text, with a star where `adjusted` p says beyond noise, and its shade."""
    beyond = bool(adjusted < LEVEL)
    step = change_step(change, beyond=beyond)
    text = f"{words.change(change)}*" if beyond else words.points(change)
    return {"text": text, "step": step, "shade": change_class(step), "beyond": beyond}
