"""`actrobust check`: the gate."""

import json
import os
import sys
from pathlib import Path

import click

from robustbench_act.cli.options import HomePath, command_options
from robustbench_act.cli.terminal import say


@click.command("check")
@click.argument("run", type=HomePath())
@command_options("check")
def command(run: Path, *, baseline: Path, junit: Path | None, github: bool, as_json: bool) -> None:
    """Fail (exit code 1) if a RUN is less robust than a baseline, beyond tolerance and noise."""
    from robustbench_act.atomic_files import write_atomically
    from robustbench_act.cli.messages import say_notes, say_unlabelled
    from robustbench_act.gate import SUMMARY_BYTES, check, junit_xml, read_baseline, summary_markdown
    from robustbench_act.run import load_run

    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if github and not summary:
        raise click.UsageError("--github: GITHUB_STEP_SUMMARY is not set; is this a step of GitHub Actions?")
    loaded = load_run(run)
    say_unlabelled(loaded, err=True)
    say_notes(loaded, err=True)
    found = check(loaded, read_baseline(baseline))
    if junit:
        write_atomically(junit, junit_xml(found))
    if github and summary:
        with Path(summary).open("a", encoding="utf-8") as handle:
            handle.write(summary_markdown(found, room=SUMMARY_BYTES - handle.tell()))
    if as_json:
        rows = json.loads(found.table.to_json(orient="records", double_precision=15))
        click.echo(json.dumps({"passed": found.passed, "checks": rows}, indent=1))
    else:
        for reason in found.reasons:
            say(f"::error title=actrobust::{reason.replace('%', '%25')}" if github else reason)
        say(found.verdict)
    sys.exit(0 if found.passed else 1)
