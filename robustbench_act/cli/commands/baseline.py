"""`actrobust baseline`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from robustbench_act.cli.options import HomePath, command_options
from robustbench_act.cli.terminal import say

if TYPE_CHECKING:
    from robustbench_act.gate.rules import Unit

_UNITS = {
    "weights": "each checkpoint is held to itself, over images; if you retrain, use --unit training",
    "training": "each activation is held to itself, over training seeds and images",
}


@click.command("baseline")
@click.argument("run", type=HomePath())
@command_options("baseline")
def command(run: Path, out: Path, rules: Path | None, unit: "Unit | None", margin: float | None) -> None:
    """Keep a RUN as the baseline for later runs."""
    from robustbench_act.cli.messages import say_unlabelled
    from robustbench_act.english import some
    from robustbench_act.gate import make_baseline, read_rules, write_baseline
    from robustbench_act.gate.units import members
    from robustbench_act.run import load_run

    loaded = load_run(run)
    say_unlabelled(loaded)
    found = make_baseline(loaded, read_rules(rules) if rules else None, unit=unit, margin=margin)
    write_baseline(found, out)
    say(f"unit {found.unit}: {_UNITS[found.unit]}")
    for rule in found.rules.rules:
        how = "surely" if rule.by_image or found.unit == "training" else "measured"  # with a test, or without
        kept = "" if rule.margin is None else f"; kept if surely worse by less than {rule.margin:g}"
        say(f"{rule}: fell if {how} worse by more than {rule.tolerance:g} {rule.declared.shown_unit}{kept}")
    alone = [name for name, own in members(found.info, "training").items() if len(own) < 2]
    if found.unit == "training" and alone:
        say(f"one training seed, so that every check of it is undecided: {some(alone)}")
    checkpoints, images = len(found.info.checkpoints), found.info.dataset.images
    say(f"{out}  ({checkpoints} checkpoints, {images:,} images, {out.stat().st_size / 1e3:,.0f} kB)")
