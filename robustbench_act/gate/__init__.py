"""The gate: does a run keep the robustness of a baseline? Loads without torch.

A baseline is one Parquet file: a run's cells with the outcome of every image, what was run, and the rules
that later runs are held to. `check` pairs a run with it: checkpoints over images (`weights`), or activations
over trainings and images (`training`).
"""

from robustbench_act.gate.baseline import Baseline, age, make_baseline, read_baseline, write_baseline
from robustbench_act.gate.check import Check, check
from robustbench_act.gate.outputs import SUMMARY_BYTES, junit_xml, summary_markdown
from robustbench_act.gate.power import detectable_drop, power
from robustbench_act.gate.rules import Rule, Rules, read_rules
from robustbench_act.gate.self_test import SelfTest, self_test

__all__ = [
    "SUMMARY_BYTES",
    "Baseline",
    "Check",
    "Rule",
    "Rules",
    "SelfTest",
    "age",
    "check",
    "detectable_drop",
    "junit_xml",
    "make_baseline",
    "power",
    "read_baseline",
    "read_rules",
    "self_test",
    "summary_markdown",
    "write_baseline",
]
