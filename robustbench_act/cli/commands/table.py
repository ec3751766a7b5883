"""`actrobust table`."""

from pathlib import Path

import click

from robustbench_act.cli.options import HomePath, command_options
from robustbench_act.cli.terminal import say


@click.command("table")
@click.argument("run", type=HomePath())
@command_options("table")
def command(
    *,
    run: Path,
    style: str,
    columns: tuple[str, ...] | None,
    activations: tuple[str, ...] | None,
    labels: dict[str, str] | None,
    kind: str,
    reference: str | None,
    out: Path | None,
) -> None:
    """Show metrics of a RUN, or the tables of the LayerAct paper (mean, spread, significance).

    --style metrics: mean and standard deviation over training seeds, the best in bold; as CSV a row for each
    checkpoint, or with --columns one for each activation. --style layeract: the layout of Tables 6 to 17 of
    arXiv 2306.04940, next to the published figures if they include the network.
    """
    from robustbench_act.activations.names import labelled, named_activations
    from robustbench_act.atomic_files import write_atomically
    from robustbench_act.cli import result_tables, table_formats
    from robustbench_act.cli.messages import say_notes, say_unlabelled
    from robustbench_act.run import load_run

    layeract = style == "layeract"
    for name, value in (("reference", reference), ("columns", columns), ("activations", activations)):
        if layeract and value:
            raise click.UsageError(f"--{name} goes with --style metrics.")
    if kind == "text" and out is not None:
        raise click.UsageError("--out: choose --format csv, markdown or latex.")
    loaded = load_run(run)
    with labelled(named_activations(labels or {}, loaded.cells["activation"].unique())):
        frame, blocks = (
            result_tables.layeract(loaded)
            if layeract
            else result_tables.metrics(loaded, reference, columns, activations)
        )
        say_unlabelled(loaded, err=kind != "text")
        say_notes(loaded, err=kind != "text")
        if kind == "text":
            table_formats.print_blocks(blocks)
            return
    text = frame.to_csv(index=False) if kind == "csv" else table_formats.FORMATS[kind](blocks)
    if out is None:
        click.echo(text, nl=False)
    else:
        write_atomically(out, text.encode())
        say(out)
