"""Who does the units: this process, several on this machine, or a Ray cluster.

An executor is a function of a job and its tasks. It takes tasks as it has room for them, yields results in
any order, and neither reads nor writes the run directory: so numbers are the same whoever does the work, and
a unit whose result was not yielded was not done.
"""

from robustbench_act.evaluation.executors.here import run_here
from robustbench_act.evaluation.executors.processes import Crew, Seat, run_in_processes, settle
from robustbench_act.evaluation.executors.ray import RayCrew, run_on_ray

EXECUTORS = ("local", "ray")

__all__ = ["EXECUTORS", "Crew", "RayCrew", "Seat", "run_here", "run_in_processes", "run_on_ray", "settle"]
