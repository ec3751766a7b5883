"""`actrobust baseline` and `check`: the gate."""

import json
import os
import sys
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


@click.command()
@click.argument("run", type=RUN)
@click.option("--baseline", "file", required=True, type=FILE, help="What `actrobust baseline` wrote.")
@click.option("--junit", type=FILE, help="Write JUnit XML.")
@click.option("--github", is_flag=True, help="Write the summary of a GitHub Actions step, and annotations.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
def check(run: Path, file: Path, *, junit: Path | None, github: bool, as_json: bool) -> None:
    """Fail (exit code 1) where a RUN lost robustness against a baseline, beyond tolerance and noise."""
    from robustbench_act.cli.terminal import say_unlabelled
    from robustbench_act.gate import check as hold
    from robustbench_act.gate import junit_xml, read_baseline, summary_markdown
    from robustbench_act.records import load_run
    from robustbench_act.storage import write_atomically

    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if github and not summary:
        raise click.UsageError("--github: GITHUB_STEP_SUMMARY is not set; is this a step of GitHub Actions?")
    loaded = load_run(run)
    say_unlabelled(loaded, err=True)
    found = hold(loaded, read_baseline(file))
    if junit:
        write_atomically(junit, junit_xml(found))
    if github and summary:
        with Path(summary).open("a", encoding="utf-8") as handle:
            handle.write(summary_markdown(found))
    if as_json:
        rows = json.loads(found.table.to_json(orient="records", double_precision=15))
        click.echo(json.dumps({"passed": found.passed, "checks": rows}, indent=1))
    else:
        for reason in found.reasons:
            click.echo(f"::error title=actrobust::{reason.replace('%', '%25')}" if github else reason)
        click.echo(found.verdict)
    sys.exit(0 if found.passed else 1)
