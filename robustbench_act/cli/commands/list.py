"""`actrobust list`."""

import click


@click.command("list")
def command() -> None:
    """List activations, corruptions, suites, data sets and architectures."""
    from corruptions import GROUPS, get_corruption, get_suite, list_corruptions, list_suites
    from robustbench_act.activations import activation_facts, list_activations
    from robustbench_act.datasets import list_datasets
    from robustbench_act.models import list_architectures

    click.echo("Activations")
    for name in list_activations():
        facts = activation_facts(name)
        click.echo(f"  {name:<12} {facts.formula}  ({facts.source})")
    click.echo("Corruptions")
    for group in GROUPS:
        names = [name for name in list_corruptions() if get_corruption(name).group == group]
        if names:
            click.echo(f"  {group:<12} {', '.join(names)}")
    click.echo("Suites")
    for name in list_suites():
        click.echo(f"  {name:<12} {', '.join(get_suite(name).corruptions)}")
    click.echo(f"Datasets\n  {', '.join(list_datasets())}, package.module:function")
    ours = [name for name in list_architectures() if name.startswith("cifar:")]
    click.echo(f"Architectures\n  {', '.join(ours)}, torchvision:NAME, timm:NAME, package.module:factory")
