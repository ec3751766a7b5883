"""`actrobust table`."""

from pathlib import Path

import click

from robustbench_act.cli.options import HomePath, command_options
from robustbench_act.cli.terminal import say


@click.command("table")
@click.argument("run", type=HomePath())
@command_options("table")
def command(run: Path, style: str, kind: str, reference: str | None, out: Path | None) -> None:
    """Show every metric of a RUN, or the tables of the LayerAct paper (mean, spread, significance).

    --style metrics: means over training seeds; as CSV a row for each checkpoint. --style layeract: the layout
    of Tables 6 to 17 of arXiv 2306.04940, next to the published figures if they include the network.
    """
    from robustbench_act.atomic_files import write_atomically
    from robustbench_act.cli import result_tables, table_formats
    from robustbench_act.cli.messages import say_notes, say_unlabelled
    from robustbench_act.run import load_run

    if reference and style == "layeract":
        raise click.UsageError("--reference goes with --style metrics.")
    loaded = load_run(run)
    say_unlabelled(loaded, err=kind != "text")
    say_notes(loaded, err=kind != "text")
    frame, shown = (
        result_tables.layeract(loaded) if style == "layeract" else result_tables.metrics(loaded, reference)
    )
    if kind == "text" and out is None:
        table_formats.print_blocks(shown)
        return
    if kind == "text":
        raise click.UsageError("--out: choose --format csv, markdown or latex.")
    text = frame.to_csv(index=False) if kind == "csv" else table_formats.FORMATS[kind](shown)
    if out is None:
        click.echo(text, nl=False)
    else:
        write_atomically(out, text.encode())
        say(out)
