"""`python -m robustbench_act.cli`: the command without its script."""

from robustbench_act.cli import main

main(prog_name="actrobust")
