"""`actrobust baseline`."""

from pathlib import Path

import click

RUN = click.Path(path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("run", type=RUN)
@click.option("-o", "--out", required=True, type=FILE, help="File to write; an old baseline is replaced.")
@click.option("--rules", type=FILE, help="TOML with tolerances.  [default: accuracy, 0.3 points]")
def baseline(run: Path, out: Path, rules: Path | None) -> None:
    """Keep a RUN as the baseline that later runs are checked against."""
    from robustbench_act.cli.terminal import say_unlabelled
    from robustbench_act.gate import DEFAULT_RULES, make_baseline, read_rules, write_baseline
    from robustbench_act.records import load_run

    loaded = load_run(run)
    say_unlabelled(loaded)
    found = make_baseline(loaded, read_rules(rules) if rules else DEFAULT_RULES)
    write_baseline(found, out)
    for rule in found.rules.rules:
        click.echo(f"{rule}: may get worse by {rule.tolerance:g} {rule.declared.shown_unit}")
    checkpoints, images = len(found.info["checkpoints"]), found.info["dataset"]["images"]
    click.echo(f"{out}  ({checkpoints} checkpoints, {images:,} images, {out.stat().st_size / 1e3:,.0f} kB)")
