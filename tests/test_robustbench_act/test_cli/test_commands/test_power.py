"""`actrobust power`."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from robustbench_act.metrics.power import EMBEDDED, IMAGES, SEEDS, Planned
from tests.build_run import Builder, png

Command = Callable[..., Result]


def text(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_the_table_is_that_of_the_numbers(actrobust: Command) -> None:
    options = ("power", "--lead", 3, "--activations", 3)
    found = json.loads(actrobust(*options, "--json").output)
    shown = text(actrobust(*options))
    sizes = [(one["seeds"], one["images"]) for one in found["leads"]]
    assert sizes == [(seeds, images) for seeds in SEEDS for images in IMAGES]
    planned = Planned(EMBEDDED.components, 3)
    for seeds in SEEDS:
        leads = [one["lead"] for one in found["leads"] if one["seeds"] == seeds]
        assert leads == [100 * planned.lead(seeds, images) for images in IMAGES]
        row = " ".join(f"{lead:.1f}{'*' if lead <= 3 else ''}" for lead in leads)
        assert f" {seeds} {row} " in shown
    assert found["pairs"] == 3
    first = found["needed"][0]
    size = f"{first['seeds']} seeds and 100 images"
    assert f"A lead of 3 points is called different in 4 of 5 such studies with {size}" in shown


def test_a_planned_study(actrobust: Command) -> None:
    planned = Planned(EMBEDDED.components, 4)
    shown = text(actrobust("power", "--seeds", 12, "--images", 2000, "--activations", 4, "--lead", 2.5))
    assert "A study: 4 activations, each trained with the same seeds; all 6 pairs are tested" in shown
    lead = f"{100 * planned.lead(12, 2000):.1f}"
    assert (
        f"A lead of {lead} points is called different in 4 of 5 such studies with 12 seeds and 2,000 images."
        in shown
    )
    chance = 100 * planned.chance(0.025, seeds=12, images=2000)
    assert shown.endswith(f"A lead of 2.5 points is called different in {chance:.0f} % of them.")
    assert "In the table" not in shown


def test_what_cannot_be_shown_is_said(actrobust: Command) -> None:
    found = text(actrobust("power", "--seeds", 3, "--lead", 2, "--activations", 3))
    assert found.endswith("With 3 seeds, 1,000,000 images do not show it as often.")
    found = text(actrobust("power", "--images", 20, "--lead", 0.5, "--activations", 3))
    assert found.endswith("With 20 images, 200 seeds do not show it as often.")
    assert "0.5 points is called" not in found
    assert "the pair is tested" in text(actrobust("power", "--activations", 2, "--seeds", 3, "--images", 9))


def test_a_run_of_ones_own(tmp_path: Path, actrobust: Command) -> None:
    run = Builder().write(tmp_path / "run")
    found = json.loads(actrobust("power", run, "--json").output)
    assert (found["source"], found["activations"], found["lead"], found["needed"]) == (str(run), 2, None, [])
    assert found["standard_deviations"].keys() == {"training", "image", "residual"}


@pytest.mark.parametrize("kind", ["png", "SVG"])
def test_the_figure(kind: str, tmp_path: Path, actrobust: Command) -> None:
    file = tmp_path / f"power.{kind}"
    assert text(actrobust("power", "--lead", 4, "--activations", 3, "--figure", file)).endswith(str(file))
    data = file.read_bytes()
    if kind == "png":
        assert data.startswith(png(1, 1)[:8])
        return
    words = re.findall(r"<text.*?>(.*?)</text>", data.decode())
    assert {"10,000 images", "100 images", "training seeds of each activation"} <= set(words)
    assert "Lead shown in 4 of 5 studies of 3 activations" in words


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lead", "0"], "expected a number above 0, at most 100, got '0'"),
        (["--lead", "nan"], "expected a number above 0, at most 100, got 'nan'"),
        (["--seeds", "1"], "expected a whole number from 2 up, got '1'"),
        (["--images", "1"], "expected a whole number from 2 up, got '1'"),
        (["--activations", "1"], "expected a whole number from 2 up, got '1'"),
        (["--figure", "power.jpg"], "expected a file that ends in .png, .svg or .pdf, got 'power.jpg'"),
        (["no-run"], "no-run: does not exist"),
    ],
)
def test_what_is_refused(arguments: list[str], message: str, actrobust: Command) -> None:
    found = actrobust("power", *arguments)
    assert found.exit_code == 2
    assert message in " ".join(found.output.split())
    assert not list(Path().iterdir())
