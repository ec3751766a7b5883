"""`actrobust list`."""

import click

from robustbench_act.cli.terminal import say


@click.command("list")
def command() -> None:
    """List activations, corruptions, suites, data sets and architectures."""
    from corruptions import GROUPS, get_corruption, get_suite, list_corruptions, list_suites
    from robustbench_act.activations import activation_facts, list_activations
    from robustbench_act.datasets import list_datasets
    from robustbench_act.models import list_architectures

    say("Activations")
    for name in list_activations():
        facts = activation_facts(name)
        say(f"  {name:<12} {facts.formula}  ({facts.source})")
    say("Corruptions")
    for group in GROUPS:
        names = [name for name in list_corruptions() if get_corruption(name).group == group]
        if names:
            say(f"  {group:<12} {', '.join(names)}")
    say("Suites")
    for name in list_suites():
        say(f"  {name:<12} {', '.join(get_suite(name).corruptions)}")
    say("Data sets")
    say(f"  {', '.join(list_datasets())}, package.module:function")
    ours = [name for name in list_architectures() if name.startswith("cifar:")]
    say("Architectures")
    say(f"  {', '.join(ours)}, torchvision:NAME, timm:NAME, package.module:factory")
