"""`actrobust compare`."""

from pathlib import Path

import click

from robustbench_act.cli.options import HomePath, command_options
from robustbench_act.cli.terminal import say

MOST = 20  # cells that are shown


@click.command("compare")
@click.argument("a", type=HomePath())
@click.argument("b", type=HomePath(), required=False)
@command_options("compare")
def command(
    a: Path,
    b: Path | None,
    *,
    activations: tuple[str, ...] | None,
    force: bool,
    everything: bool,
    as_json: bool,
) -> None:
    """Show what moved from run A to run B beyond chance: activations over trainings and images.

    Checkpoints and cells are compared over images alone. Checkpoints are paired by name; if each run has
    only one, these two are paired. With --activations: mine against theirs inside run A, in the mean, by
    group and by corruption.
    """
    if (b is None) == (activations is None):
        raise click.UsageError("Expected either a second run or --activations.")
    if activations is None:
        assert b is not None, "checked above"
        _runs(a, b, force=force, most=None if everything else MOST, as_json=as_json)
    elif force or everything:
        raise click.UsageError("--force and --all go with two runs.")
    else:
        _activations(a, activations, as_json=as_json)


def _runs(a: Path, b: Path, *, force: bool, most: int | None, as_json: bool) -> None:
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
    table_formats.print_blocks(result_tables.comparison(found, most))


def _activations(path: Path, names: tuple[str, ...], *, as_json: bool) -> None:
    from robustbench_act.cli import table_formats
    from robustbench_act.cli.activation_answer import ActivationAnswer
    from robustbench_act.cli.messages import say_notes, say_unlabelled
    from robustbench_act.run import load_run

    run = load_run(path)
    answer = ActivationAnswer(run, names)
    say_unlabelled(run, err=as_json)
    say_notes(run, err=as_json)
    if as_json:
        click.echo(answer.to_json())
        return
    for part in answer.parts():
        for sentence in part.sentences():
            say(sentence)
        table_formats.print_blocks(part.blocks())
