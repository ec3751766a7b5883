"""Corrupt once, evaluate many."""

from corruptions.severity import SEVERITIES as ALL_SEVERITIES
from robustbench_act.evaluation.api import evaluate, make_plan, run_request
from robustbench_act.evaluation.engine import run_plan
from robustbench_act.evaluation.estimate import Estimate, disk_needed, estimate, memory_needed
from robustbench_act.evaluation.execution import Execution
from robustbench_act.evaluation.forward import measure
from robustbench_act.evaluation.looks import behaviour_of, few_images, with_behaviours
from robustbench_act.evaluation.plan import CHUNK, Plan, adaptations
from robustbench_act.evaluation.probing import probe_layers
from robustbench_act.evaluation.request import DataRequest, PlanRequest
from robustbench_act.evaluation.units import Series, WorkUnit
from robustbench_act.options import BATCH_SIZE, DEFAULT_SUITES

__all__ = [
    "ALL_SEVERITIES",
    "BATCH_SIZE",
    "CHUNK",
    "DEFAULT_SUITES",
    "DataRequest",
    "Estimate",
    "Execution",
    "Plan",
    "PlanRequest",
    "Series",
    "WorkUnit",
    "adaptations",
    "behaviour_of",
    "disk_needed",
    "estimate",
    "evaluate",
    "few_images",
    "make_plan",
    "measure",
    "memory_needed",
    "probe_layers",
    "run_plan",
    "run_request",
    "with_behaviours",
]
