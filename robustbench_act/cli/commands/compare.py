"""`actrobust compare`."""

from pathlib import Path

import click

from robustbench_act.cli.options import HomePath, command_options
from robustbench_act.cli.terminal import say

MOST = 20  # cells that are shown


@click.command("compare")
@click.argument("a", type=HomePath())
@click.argument("b", type=HomePath())
@command_options("compare")
def command(a: Path, b: Path, *, force: bool, everything: bool, as_json: bool) -> None:
    """Show what moved from run A to run B beyond chance: activations over trainings and images.

    Checkpoints and cells are compared over images alone. Checkpoints are paired by name; if each run has
    only one, these two are paired.
    """
    from robustbench_act.cli import result_tables, table_formats
    from robustbench_act.cli.messages import say_notes, say_unlabelled
    from robustbench_act.comparison import compare_runs
    from robustbench_act.run import load_run

    first, second = load_run(a), load_run(b)
    found = compare_runs(first, second, force=force)
    say_unlabelled(first, err=as_json)
    for run in (first, second):
        say_notes(run, err=as_json)
    for note in found.notes:
        say(note, err=as_json)
    if as_json:
        click.echo(result_tables.comparison_json(found))
        return
    table_formats.print_blocks(result_tables.comparison(found, None if everything else MOST))
