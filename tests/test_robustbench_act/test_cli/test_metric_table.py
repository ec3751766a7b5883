"""A table for a paper: mean and spread by hand, the best in bold, a caption that says what was averaged."""

import csv
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

import pandas as pd
import pytest
from click.testing import Result

from robustbench_act.cli import table_formats
from robustbench_act.cli.metric_table import MetricTable
from robustbench_act.cli.table_formats import BOLD
from robustbench_act.errors import InputError
from robustbench_act.run import Run
from tests.build_run import SHARES, Builder, corruption_means, score

COLUMNS = ("mca", "clean", "group_noise", "loss")
TEX = r"(\\[&%$#_{}]|\\text\w+\{\}|\\textbf\{|\$(?:\\pm|-|<|>)\$|\{\[\}|[^\\&%$#_^~])*"
"""A cell that LaTeX takes: special letters only in commands."""


def run_of(**values: dict[str, float]) -> Run:
    """Return a run whose cells have other values by activation: loss={"relu": 1.0}."""
    run = Builder(probes=False).run()
    cells = run.cells.copy()
    for name, by_activation in values.items():
        cells[name] = cells["activation"].map(by_activation).fillna(cells[name])
    return replace(run, cells=cells)


def by_hand(values: list[float]) -> str:
    return f"{100 * fmean(values):.1f} ± {100 * stdev(values):.1f}"


def test_means_and_spreads_in_the_order_that_was_asked_for() -> None:
    run = run_of(loss={"relu": 2.0, "la_silu": 2.5})
    (block,) = MetricTable(run, columns=COLUMNS, activations=["ReLU", "la_silu"]).blocks()
    assert list(block.frame) == ["activation", "Corrupted %", "Clean %", "Noise %", "NLL nats"]
    assert block.frame["activation"].to_list() == ["ReLU", "LA-SiLU"]
    for name, row in zip(("relu", "la_silu"), block.frame.to_dict("records"), strict=True):
        noise = [fmean(corruption_means(name, seed)[:2]) for seed in (11, 22)]
        assert row["Corrupted %"] == by_hand([score(name, seed) for seed in (11, 22)])
        assert row["Clean %"] == by_hand([SHARES[name, seed][0] for seed in (11, 22)])
        assert row["Noise %"] == by_hand(noise)
    assert block.frame["NLL nats"].to_list() == ["2.000 ± 0.000", "2.500 ± 0.000"]
    assert block.bold == {(1, "Corrupted %"), (0, "Clean %"), (1, "Noise %"), (0, "NLL nats")}
    assert block.caption == (
        "net, 200 images of toy: mean ± standard deviation over 2 training seeds; "
        f"mean over 3 corruptions at severities 1 and 5 (noise: 2); {BOLD}"
    )


def test_ties_are_all_bold_and_a_row_alone_is_not() -> None:
    run = run_of(loss={"relu": 1.0002, "la_silu": 1.0004})
    (block,) = MetricTable(run, columns=["loss"]).blocks()
    assert block.bold == {(0, "NLL nats"), (1, "NLL nats")}
    (block,) = MetricTable(run, columns=["loss"], activations=["relu"]).blocks()
    assert block.bold == set()
    assert BOLD not in block.caption


def test_architectures_have_tables_of_their_own() -> None:
    run = run_of()
    again = run.cells.assign(architecture="wide", checkpoint="w" + run.cells["checkpoint"])
    again["accuracy"] /= 2
    one_seed = again[again["training_seed"] == 11]
    both = replace(run, cells=pd.concat([run.cells, one_seed], ignore_index=True))
    first, second = MetricTable(both, columns=["mca", "group_weather"]).blocks()
    assert first.bold == second.bold == {(0, "Corrupted %"), (0, "Weather %")}
    assert second.frame["Corrupted %"].to_list() == [
        f"{50 * score(name, 11):.1f}" for name in ("la_silu", "relu")
    ]
    assert second.title.startswith("wide, 200 images of toy: 1 training seed; mean over 3 corruptions")


def test_negative_numbers_have_true_minus_signs_for_people_alone() -> None:
    run = run_of(ece_debiased={"relu": -0.0625, "la_silu": -0.125})
    table = MetricTable(run, columns=["ece_debiased"], activations=["relu", "la_silu"])
    assert table.blocks()[0].frame["ECE, debiased %"].to_list() == ["−6.2 ± 0.0", "−12.5 ± 0.0"]
    assert "| **−12.5 ± 0.0** |" in table_formats.markdown(table.blocks())
    assert r"\textbf{$-$12.5 $\pm$ 0.0} \\" in table_formats.latex(table.blocks())
    (relu, _) = csv.DictReader(io.StringIO(table.numbers().to_csv(index=False)))
    assert (relu["activation"], relu["label"], relu["seeds"]) == ("relu", "ReLU", "2")
    assert (relu["ece_debiased"], relu["ece_debiased_std"]) == ("-0.0625", "0.0")


@pytest.mark.parametrize("given", ["group_nois", "checkpoint", "training_seed"])
def test_unknown_columns(given: str) -> None:
    with pytest.raises(InputError, match=rf"Unknown column '{given}'. "):
        MetricTable(run_of(), columns=["mca", given])


def test_the_command(actrobust: Callable[..., Result], tmp_path: Path) -> None:
    run = Builder(probes=False, architecture="net_1").write(tmp_path / "run")
    label = "la_silu=Gated_cube, 50% & {more}"
    chosen = ("--columns", "group_noise,clean", "--activations", "relu,la_silu")
    asked = ("table", run, *chosen, "--labels", label)
    text = actrobust(*asked)
    assert text.exit_code == 0, text.output
    assert re.search(r"Gated_cube, 50% & \{more\} +\d\d\.\d ± \d\.\d ", text.stdout)
    assert BOLD not in text.stdout  # a pipe shows none
    assert actrobust(*asked, "--format", "latex", "--out", "t.tex").exit_code == 0
    lines = Path("t.tex").read_text().splitlines()
    start, end = lines.index(r"\midrule") + 1, lines.index(r"\bottomrule")
    names = [line.partition(" & ")[0] for line in lines[start:end]]
    assert names == ["ReLU", r"Gated\_cube, 50\% \& \{more\}"]
    assert r"\caption{net\_1, 200 images of toy: mean $\pm$ standard" in lines[1]
    for line in lines[start:end]:
        cells = line.removesuffix(r" \\").split(" & ")
        assert len(cells) == 3
        assert all(re.fullmatch(TEX, cell) and cell.count("{") == cell.count("}") for cell in cells), cells
    shown = actrobust("table", run, "--labels", "la_silu=Ours", "--style", "layeract").stdout
    assert "Ours" in shown
    wrong = actrobust("table", run, "--style", "layeract", "--columns", "mca")
    assert (wrong.exit_code, "--columns goes with --style metrics" in wrong.stderr) == (2, True)
