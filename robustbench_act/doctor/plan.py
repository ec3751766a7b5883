"""The needs of a planned run: time, memory, room on the disk."""

from pathlib import Path

from robustbench_act.devices import free_bytes
from robustbench_act.doctor.finding import Finding
from robustbench_act.errors import InputError
from robustbench_act.evaluation import Execution, Plan, disk_needed, estimate
from robustbench_act.evaluation.looks import check_own_corruptions


def examine_plan(plan: Plan, out: Path, execution: Execution) -> list[Finding]:
    """Return the time and memory that the run takes, measured on a few images, and its room on disk."""
    passes = f"{plan.passes:,} forward passes{' with probes' if plan.probes else ''}"
    found = estimate(plan, execution)
    return [
        Finding("run", True, f"about {duration(found.seconds)} for {passes}"),
        Finding("run", True, f"about {found.memory / 1e6:,.0f} MB of memory, probes aside"),
        examine_room(plan, out),
    ]


def examine_corruptions(plan: Plan, execution: Execution) -> list[Finding]:
    """Return whether the user's own corruptions keep the contract, tried on a few images."""
    names = plan.own_corruptions
    try:
        check_own_corruptions(plan, execution)
    except InputError as error:
        return [Finding("corruption", False, str(error).rstrip("."))]
    return [Finding("corruption", True, f"{name} keeps the contract on a few images") for name in names]


def examine_room(plan: Plan, out: Path) -> Finding:
    """Return whether the run fits on the disk of its folder."""
    room, needed = free_bytes(out), disk_needed(plan)
    text = f"about {needed / 1e6:,.0f} MB in {out}, {room / 1e6:,.0f} MB are free there"
    return Finding("run", needed < room, text)


def duration(seconds: float) -> str:
    """Return a time in the unit that people would use.

    >>> duration(0.5), duration(42.4), duration(600), duration(9000), duration(400_000)
    ('0.5 s', '42 s', '10 min', '2.5 h', '4.6 days')
    """
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            amount = seconds / size
            return f"{amount:.0f} {unit}" if unit == "min" else f"{amount:.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 2 else f"{seconds:.1f} s"
