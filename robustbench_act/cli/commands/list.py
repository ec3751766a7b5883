"""`actrobust list`."""

import click

from robustbench_act.cli.terminal import say


@click.command("list")
def command() -> None:
    """List activations, corruptions, suites, data sets and architectures."""
    from corruptions.facts import GROUPS, SHEET, list_suites, suite_corruptions
    from robustbench_act.activations import activation_facts, list_activations
    from robustbench_act.datasets import list_datasets
    from robustbench_act.models import CIFAR

    say("Activations")
    for name in list_activations():
        facts = activation_facts(name)
        say(f"  {name:<12} {facts.formula}  ({facts.source})")
    say("Corruptions")
    for group in GROUPS:
        names = sorted(name for name, own in SHEET.items() if own.group == group)
        if names:
            say(f"  {group:<12} {', '.join(names)}")
    say("Suites")
    for name in list_suites():
        say(f"  {name:<12} {', '.join(suite_corruptions(name))}")
    say("Data sets")
    say(f"  {', '.join(list_datasets())}, package.module:function")
    ours = [f"cifar:{name}" for name in CIFAR]
    say("Architectures")
    say(f"  {', '.join(ours)}, torchvision:NAME, timm:NAME, package.module:factory")
