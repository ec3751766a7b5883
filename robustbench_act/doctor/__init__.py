"""Looks at checkpoints and data before hours of compute: whether they are what they should be.

Wrong preprocessing does not stop an evaluation: it changes its ranking. So each network is shown a sample of
the clean images, as its spec says and in the ways that are usually confused with it.
"""

from pathlib import Path

import torch

from robustbench_act.doctor.finding import Finding
from robustbench_act.doctor.machine_and_data import examine_data, examine_machine
from robustbench_act.doctor.networks import SAMPLE, check_accuracy, examine
from robustbench_act.doctor.plan import duration, examine_plan, examine_room
from robustbench_act.evaluation import Plan

__all__ = [
    "SAMPLE",
    "Finding",
    "check_accuracy",
    "duration",
    "examine",
    "examine_data",
    "examine_machine",
    "examine_plan",
    "examine_room",
    "warnings_before",
]


def warnings_before(plan: Plan, out: Path, device: torch.device) -> list[Finding]:
    """Return what is wrong of all that takes no more than a moment to look at: what `evaluate` asks first."""
    looked = [*examine_machine(), examine_room(plan, out)]
    looked += [check_accuracy(one, plan.dataset, device) for one in plan.checkpoints if one.problem is None]
    return [finding for finding in looked if not finding.good]
