"""`python -m studies NAME --data ROOT`: everything of a study that is not done yet."""

import os
from collections.abc import Callable
from pathlib import Path

import click

from robustbench_act.atomic_files import write_atomically
from robustbench_act.errors import InputError
from studies.ablations import run_ablations
from studies.analysis import analyse
from studies.measuring import evaluate_networks, probe_networks, write_report
from studies.page import findings_page
from studies.study import HERE, STUDIES, Study
from studies.tables import write_csv
from studies.training import run_pilot, train_networks, write_networks


def _train(study: Study, processes: int) -> None:
    train_networks(study, processes)
    write_networks(study)


def _analyse(study: Study, processes: int) -> None:
    found = analyse(study.results, study.analysis, study.activations)
    write_csv(study.results / "findings.csv", found.findings)
    write_csv(study.results / "verdicts.csv", found.verdicts)
    write_csv(study.results / "levels.csv", found.levels)
    write_atomically(study.results / "findings.md", findings_page(found).encode())


STAGES: dict[str, Callable[[Study, int], None]] = {
    "pilot": run_pilot,
    "train": _train,
    "evaluate": evaluate_networks,
    "probe": probe_networks,
    "report": write_report,
    "ablations": run_ablations,
    "analyse": _analyse,
}
"""In their order; each does what is not done yet."""


@click.command()
@click.argument("name", type=click.Choice(STUDIES))
@click.option("--data", help="Folder of the data set, see study.toml.")
@click.option("--stage", "stages", multiple=True, type=click.Choice([*STAGES]), help="Only this; repeatable.")
@click.option("--processes", type=click.IntRange(1), default=os.cpu_count() or 1, show_default="one per core")
@click.option(
    "--work", type=click.Path(path_type=Path), help="Folder of networks and runs.  [default: runs/NAME]"
)
def main(name: str, data: str | None, stages: tuple[str, ...], processes: int, work: Path | None) -> None:
    """Train, evaluate, probe and analyse a study, from where it is."""
    try:
        study = Study.read(HERE / name, data, work or Path("runs") / name)
        for stage in stages or STAGES:
            click.echo(stage, err=True)
            STAGES[stage](study, processes)
    except InputError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
