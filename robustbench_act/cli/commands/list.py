"""`actrobust list`."""

from typing import Any

import click

from robustbench_act.cli.options import command_options
from robustbench_act.cli.terminal import say


@click.command("list")
@command_options("list")
def command(*, imports: tuple[str, ...]) -> None:
    """List activations, normalisations, corruptions, suites, data sets and architectures."""
    from corruptions.facts import GROUPS, SHEET, known_corruptions, list_suites, suite_corruptions
    from robustbench_act.activations import activation_facts, list_activations
    from robustbench_act.datasets import list_datasets
    from robustbench_act.models import OWN_NETWORKS
    from robustbench_act.normalizations import NORMALIZATIONS
    from robustbench_act.user_code import import_modules

    import_modules(imports)
    say("Activations")
    for name in list_activations():
        facts = activation_facts(name)
        say("  ".join(filter(None, [f"  {name:<12} {facts.formula}".rstrip(), _whence(facts)])))
    say("Normalisations")
    say(f"  {', '.join(NORMALIZATIONS)}, package.module:Class")
    say("Corruptions")
    for group in dict.fromkeys([*GROUPS, *(own.group for own in SHEET.values())]):
        names = sorted(name for name, own in SHEET.items() if own.group == group)
        if names:
            say(f"  {group:<12} {', '.join(names)}")
    if offered := sorted(known_corruptions() - SHEET.keys()):
        say(f"  {'plugins':<12} {', '.join(offered)}")
    say("Suites")
    for name in list_suites():
        say(f"  {name:<12} {', '.join(suite_corruptions(name))}")
    say("Data sets")
    say(f"  {', '.join(list_datasets())}, package.module:function")
    say("Architectures")
    say(f"  {', '.join(OWN_NETWORKS)}, torchvision:NAME, timm:NAME, package.module:factory")
    say("  with their weights, as checkpoints: transformers:FOLDER, onnx:FILE")


def _whence(facts: Any) -> str:
    """Return where an activation was published and whose code it is, in brackets."""
    known = ", ".join(filter(None, [facts.source, facts.origin]))
    return f"({known})" if known else ""
