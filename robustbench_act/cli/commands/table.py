"""`actrobust table`."""

from pathlib import Path

import click

RUN = click.Path(path_type=Path)


@click.command()
@click.argument("run", type=RUN)
@click.option("--style", type=click.Choice(["metrics", "layeract"]), default="metrics", show_default=True)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["text", "csv", "markdown", "latex"]),
    default="text",
    show_default=True,
)
@click.option(
    "--baseline",
    metavar="ACTIVATION|RUN|alexnet",
    help="What mCE and effective robustness are relative to, for --style metrics.",
)
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write to a file.")
def table(run: Path, style: str, kind: str, baseline: str | None, out: Path | None) -> None:
    """Show every metric of a RUN, or the tables of the LayerAct paper (mean, spread, significance).

    --style metrics: means over training seeds; as CSV a row for each checkpoint. --style layeract: the layout
    of Tables 6 to 17 of arXiv 2306.04940, the published figures beside where it has the network.
    """
    from robustbench_act.atomic_files import write_atomically
    from robustbench_act.cli import result_tables, table_formats
    from robustbench_act.cli.terminal import say_unlabelled
    from robustbench_act.records import load_run

    if baseline and style == "layeract":
        raise click.UsageError("--baseline: is for --style metrics.")
    loaded = load_run(run)
    say_unlabelled(loaded, err=kind != "text")
    frame, shown = (
        result_tables.layeract(loaded) if style == "layeract" else result_tables.metrics(loaded, baseline)
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
        click.echo(out)
