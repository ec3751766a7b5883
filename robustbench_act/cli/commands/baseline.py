"""`actrobust baseline`."""

from pathlib import Path

import click

from robustbench_act.cli.options import HomePath, command_options
from robustbench_act.cli.terminal import say


@click.command("baseline")
@click.argument("run", type=HomePath())
@command_options("baseline")
def command(run: Path, out: Path, rules: Path | None) -> None:
    """Keep a RUN as the baseline for later runs."""
    from robustbench_act.cli.messages import say_unlabelled
    from robustbench_act.gate import make_baseline, read_rules, write_baseline
    from robustbench_act.run import load_run

    loaded = load_run(run)
    say_unlabelled(loaded)
    found = make_baseline(loaded, read_rules(rules) if rules else None)
    write_baseline(found, out)
    for rule in found.rules.rules:
        say(f"{rule}: may get worse by {rule.tolerance:g} {rule.declared.shown_unit}")
    checkpoints, images = len(found.info.checkpoints), found.info.dataset.images
    say(f"{out}  ({checkpoints} checkpoints, {images:,} images, {out.stat().st_size / 1e3:,.0f} kB)")
