"""`actrobust check`: the gate."""

import json
import os
import sys
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

import click

from robustbench_act.cli.options import HomePath, command_options
from robustbench_act.cli.terminal import say

_SHOWN = 10  # undecided lines


@click.command("check")
@click.argument("run", type=HomePath())
@command_options("check")
def command(
    run: Path,
    *,
    baseline: Path | None,
    anchor: Path | None,
    prove: bool,
    junit: Path | None,
    github: bool,
    as_json: bool,
    self_test: bool,
) -> None:
    """Fail (exit code 1) if a RUN is less robust than a baseline, beyond tolerance and chance."""
    from robustbench_act import gate
    from robustbench_act.atomic_files import write_atomically
    from robustbench_act.cli.messages import say_notes, say_unlabelled
    from robustbench_act.run import load_run

    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if github and not summary:
        raise click.UsageError("--github: GITHUB_STEP_SUMMARY is not set; is this a step of GitHub Actions?")
    if (baseline is None) != self_test:
        raise click.UsageError("Expected --baseline FILE, or --self-test alone.")
    loaded = load_run(run)
    say_unlabelled(loaded, err=True)
    if self_test or baseline is None:
        say(gate.self_test(loaded).sentence)
        return
    say_notes(loaded, err=True)
    first = None if anchor is None else gate.read_baseline(anchor)
    found = gate.check(loaded, gate.read_baseline(baseline), anchor=first, prove=prove)
    if junit:
        write_atomically(junit, gate.junit_xml(found))
    if github and summary:
        with Path(summary).open("a", encoding="utf-8") as handle:
            handle.write(gate.summary_markdown(found, room=gate.SUMMARY_BYTES - handle.tell()))
    ages = {against: gate.age(created, datetime.now(UTC)) for against, created in found.created.items()}
    if as_json:
        click.echo(json.dumps(_as_json(found, ages), indent=1))
    else:
        _say(found, ages, github=github)
    sys.exit(0 if found.passed else 1)


def _as_json(found: Any, ages: dict[str, int | None]) -> dict[str, Any]:
    rows = json.loads(found.table.to_json(orient="records", double_precision=15))
    head = {"verdict": found.verdict, "passed": found.passed, "unit": found.unit, "age_days": ages}
    return {**head, "checks": rows}


def _say(found: Any, ages: dict[str, int | None], *, github: bool) -> None:
    """Print what fell and what is undecided, what is sure of each rule's kept lines, and the verdict."""
    for against, days in ages.items():
        made = found.created[against][:10] or "an unknown day"
        say(f"{against}: a run of {made}" + ("" if days is None else f", {days} days old"))
    for reason in found.reasons:
        say(f"::error title=actrobust::{reason.replace('%', '%25')}" if github else reason)
    rest = found.table[~found.failures]
    undecided = rest.loc[rest["verdict"] == "undecided", "text"].tolist()
    for text in undecided[:_SHOWN]:
        say(text)
    if len(undecided) > _SHOWN:
        say(f"... and {len(undecided) - _SHOWN} more undecided lines; --json has all.")
    kept = rest[rest["verdict"] == "kept"]
    for text in kept["text"] if len(kept) <= _SHOWN else _by_rule(kept):
        say(text)
    say(found.sentence)


def _by_rule(kept: Any) -> list[str]:
    """Return what is sure of the kept lines of each rule, in a line."""
    from robustbench_act.metrics import METRICS

    texts = []
    for (against, rule), rows in kept.groupby(["against", "rule"], sort=False):
        bound, unit = rows["bound"].max(), METRICS[rows["metric"].iloc[0]].shown_unit
        sure = f", no worse than {max(bound, 0):.2f} {unit} (95 % each)" if isfinite(bound) else ""
        place = ", against the anchor," if against == "anchor" else ""
        texts.append(f"{rule}{place} kept: {len(rows)} lines{sure}")
    return texts
