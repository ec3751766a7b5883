"""`actrobust power`."""

import json
from pathlib import Path
from typing import Any

import click

from robustbench_act.cli.options import HomePath, command_options
from robustbench_act.cli.terminal import say

_KINDS = (".png", ".svg", ".pdf")


@click.command("power")
@click.argument("run", required=False, metavar="[RUN]", type=HomePath())
@command_options("power")
def command(
    *,
    run: Path | None,
    lead: float | None,
    seeds: int | None,
    images: int | None,
    activations: int | None,
    figure: Path | None,
    as_json: bool,
) -> None:
    """Tell how many training seeds and images a lead needs, or which leads a planned study can see.

    A lead is the difference of two activations in accuracy, averaged over corruptions. How much networks
    differ from training to training and from image to image is taken from RUN, without it from the embedded
    networks.
    """
    from robustbench_act.cli import power_answer
    from robustbench_act.cli.table_formats import Block, print_blocks
    from robustbench_act.errors import InputError
    from robustbench_act.metrics.power import EMBEDDED, IMAGES, SEEDS

    if figure is not None and figure.suffix.lower() not in _KINDS:
        raise InputError(f"--figure: expected a file that ends in .png, .svg or .pdf, got {figure.name!r}.")
    answer = power_answer.PowerAnswer(
        EMBEDDED if run is None else _spreads_of(run),
        activations,
        SEEDS if seeds is None else (seeds,),
        IMAGES if images is None else (images,),
        lead,
    )
    if figure is not None:
        power_answer.draw(answer, figure)
    if as_json:
        click.echo(json.dumps(answer.to_json(), indent=1))
        return
    for line in answer.head():
        say(line)
    if not answer.single:
        print_blocks([Block("", answer.table())])
    for line in answer.sentences():
        say(line)
    if figure is not None:
        say(figure)


def _spreads_of(path: Path) -> Any:
    from robustbench_act.cli.messages import say_unlabelled
    from robustbench_act.metrics.power import run_spreads
    from robustbench_act.records import read_run

    run = read_run(path)
    say_unlabelled(run, err=True)
    return run_spreads(run)
