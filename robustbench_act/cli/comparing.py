"""`actrobust table` and `compare`."""

from pathlib import Path

import click

RUN = click.Path(path_type=Path)
MOST = 20  # cells that are shown


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
    from robustbench_act.cli import blocks, rendering
    from robustbench_act.cli.terminal import say_unlabelled
    from robustbench_act.records import load_run
    from robustbench_act.storage import write_atomically

    if baseline and style == "layeract":
        raise click.UsageError("--baseline: is for --style metrics.")
    loaded = load_run(run)
    say_unlabelled(loaded, err=kind != "text")
    frame, shown = blocks.layeract(loaded) if style == "layeract" else blocks.metrics(loaded, baseline)
    if kind == "text" and out is None:
        rendering.print_blocks(shown)
        return
    if kind == "text":
        raise click.UsageError("--out: choose --format csv, markdown or latex.")
    text = frame.to_csv(index=False) if kind == "csv" else rendering.FORMATS[kind](shown)
    if out is None:
        click.echo(text, nl=False)
    else:
        write_atomically(out, text.encode())
        click.echo(out)


@click.command()
@click.argument("a", type=RUN)
@click.argument("b", type=RUN)
@click.option("--force", is_flag=True, help="Compare unlike runs too; the differences are listed.")
@click.option("--all", "everything", is_flag=True, help=f"Show every cell that moved, not {MOST}.")
@click.option("--json", "as_json", is_flag=True, help="Print all tables as JSON.")
def compare(a: Path, b: Path, *, force: bool, everything: bool, as_json: bool) -> None:
    """Show what moved from run A to run B beyond noise: paired over images, Holm-corrected.

    Checkpoints are paired by name, or each run's only one with the other's.
    """
    from robustbench_act.cli import blocks, rendering
    from robustbench_act.cli.terminal import say_unlabelled
    from robustbench_act.comparison import compare_runs
    from robustbench_act.records import load_run

    first = load_run(a)
    found = compare_runs(first, load_run(b), force=force)
    say_unlabelled(first, err=as_json)
    for note in found.notes:
        click.echo(note, err=as_json)
    if as_json:
        click.echo(blocks.comparison_json(found))
        return
    rendering.print_blocks(blocks.comparison(found, None if everything else MOST))
