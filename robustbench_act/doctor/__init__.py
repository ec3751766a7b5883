"""Checks of checkpoints and data before hours of compute.

Wrong preprocessing raises no error; it silently changes the ranking. So each network runs on a sample of the
clean images, with the preprocessing of its spec and with the usual mistakes.
"""

from pathlib import Path

import torch

from robustbench_act.doctor.finding import Finding
from robustbench_act.doctor.machine_and_data import examine_data, examine_machine
from robustbench_act.doctor.networks import SAMPLE, check_accuracy, examine, examine_networks
from robustbench_act.doctor.plan import duration, examine_corruptions, examine_plan, examine_room
from robustbench_act.evaluation import Plan

__all__ = [
    "SAMPLE",
    "Finding",
    "check_accuracy",
    "duration",
    "examine",
    "examine_corruptions",
    "examine_data",
    "examine_machine",
    "examine_networks",
    "examine_plan",
    "examine_room",
    "warnings_before",
]


def warnings_before(plan: Plan, out: Path, device: torch.device) -> list[Finding]:
    """Run the quick checks that precede `evaluate`; return the findings that are not good."""
    found = [*examine_machine(), examine_room(plan, out)]
    for one in plan.checkpoints:
        behaviour = plan.behaviour(one)
        if one.problem is None and not behaviour.fails:
            found.append(check_accuracy(one, plan.dataset, device, behaviour))
    return [finding for finding in found if not finding.good]
