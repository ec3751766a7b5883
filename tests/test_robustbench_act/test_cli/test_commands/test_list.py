"""`actrobust list`, and what the command says of itself."""

from collections.abc import Callable

from click.testing import Result


def test_list_names_everything(actrobust: Callable[..., Result]) -> None:
    result = actrobust("list")
    assert result.exit_code == 0, result.output
    for name in ("la_hardsilu", "gaussian_noise", "shift_gain_up", "mnist-1k", "noise"):
        assert name in result.stdout
    assert "cifar:resnet56, small:mlp" in result.stdout


def test_version_and_help(actrobust: Callable[..., Result]) -> None:
    assert actrobust("--version").stdout.startswith("actrobust, version ")
    assert "evaluate" in actrobust("--help").stdout
