"""`actrobust report`."""

from pathlib import Path

import click

from robustbench_act.cli.options import take_formats


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "formats",
    callback=take_formats,
    default="html",
    show_default=True,
    help="html, pdf or html,pdf.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the report.  [default: the run's own; . for several]",
)
@click.option(
    "--figures",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write each figure, heat map and matrix too, as SVG, PNG and its numbers as CSV, into this folder.",
)
@click.option("--open", "show", is_flag=True, help="Open the report.")
def report(
    *, runs: tuple[Path, ...], formats: tuple[str, ...], out: Path | None, figures: Path | None, show: bool
) -> None:
    """Write the report of a finished RUN again, or of several side by side.

    Several runs must be on the same images, with the same corruptions.
    """
    from reports import make_report
    from robustbench_act.cli.terminal import saying_what_is_made

    with saying_what_is_made() as on_part:
        made = make_report(*runs, on_part=on_part)
        paths = made.write(out or (runs[0] if len(runs) == 1 else Path()), formats)
        drawn = made.write_figures(figures) if figures is not None else []
    for path in paths:
        click.echo(path)
    if drawn:
        click.echo(f"{figures}  ({len(drawn)} files)")
    if show:
        click.launch(str(paths[0].resolve()))
