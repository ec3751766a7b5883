"""Each section says what the tables say; its oracle is counted by hand from the builder's numbers."""

from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
import pytest

import reports
from reports.analysis import Analysis
from reports.layout import Section
from reports.sections import SECTIONS
from reports.sections.curves import curve_finding
from reports.sections.heat import FOLDED, heat
from reports.sections.layers import depth_finding
from robustbench_act.activations import facts
from robustbench_act.activations.facts import remember
from robustbench_act.run import Run, load_run
from robustbench_act.statistics import ONE_SEED
from tests.build_run import CORRECT, CORRUPTIONS, LABELS, ORDER, SHARES, Builder, corruption_means, score

from .pieces import page_of, section_of


def section(run: Run, name: str) -> Section:
    return section_of(Analysis(run), name)


def made(tmp_path: Path, **options: Any) -> Run:
    return load_run(Builder(**options).write(tmp_path))


def test_few_checkpoints_have_a_column_each(run: Run) -> None:
    content = heat(Analysis(run)).content
    assert not content["folded"]
    assert [(column["activation"], column["seed"]) for column in content["columns"]] == [
        ("la_silu", "11"),
        ("la_silu", "22"),
        ("relu", "11"),
        ("relu", "22"),
    ]
    rows = {row["name"]: row for block in content["blocks"] for row in block["rows"]}
    assert list(rows) == [
        "clean",
        "mean of noise",
        "gaussian_noise",
        "impulse_noise",
        "fog",
        "mean of all corruptions",
    ]
    columns = (("la_silu", 11), ("la_silu", 22), ("relu", 11), ("relu", 22))
    for place, (activation, seed) in enumerate(columns):
        means = corruption_means(activation, seed)
        shares = SHARES[activation, seed]
        expected = {
            "clean": [shares[0]] * 3,
            "gaussian_noise": [means[0], *shares[1:3]],
            "mean of noise": [fmean(means[:2]), fmean((shares[1], shares[3])), fmean((shares[2], shares[4]))],
            "mean of all corruptions": [fmean(means), fmean(shares[1::2]), fmean(shares[2::2])],
        }
        for name, values in expected.items():
            assert rows[name]["cells"][place]["texts"] == [f"{100 * value:.1f}" for value in values], name


def test_many_checkpoints_are_folded_to_activations_with_their_spread(tmp_path: Path) -> None:
    """15 seeds, 1 point apart under gaussian noise at severity 1: the variance is 280 / 14 points squared."""
    counts = {("relu", seed): (190, 100 + 2 * seed, 40, 140, 20, 180, 90) for seed in range(15)}
    content = heat(Analysis(made(tmp_path, correct=counts))).content
    assert content["folded"]
    assert len(content["columns"]) == 1
    rows = {row["name"]: row["cells"][0] for block in content["blocks"] for row in block["rows"]}
    assert rows["gaussian_noise"]["texts"] == ["38.5", "57.0", "20.0"]
    assert rows["gaussian_noise"]["spreads"] == ["2.2", "4.5", "0.0"]
    assert rows["clean"]["spreads"] == ["0.0"] * 3


def test_folded_checkpoints_are_listed_one_by_one(tmp_path: Path) -> None:
    counts = {("relu", seed): (190, 100 + 2 * seed, 40, 140, 20, 180, 90) for seed in range(FOLDED + 1)}
    noise, weather = heat(Analysis(made(tmp_path, correct=counts))).tables
    assert noise.headings == ["Checkpoint", "Clean", "gaussian_noise", "impulse_noise"]
    assert weather.rows[3] == ["relu-3", "95.0", "67.5"]
    for seed, row in enumerate(noise.rows):
        assert row == [f"relu-{seed}", "95.0", f"{35 + seed / 2:.1f}", "40.0"]


def test_classes_of_the_lowest_accuracy_come_first(run: Run) -> None:
    content = section(run, "classes").content
    found = {row["name"]: (row["images"], [cell["text"] for cell in row["cells"]]) for row in content["rows"]}
    own: dict[str, list[float]] = {}
    for label, name in enumerate(("zero", "one", "two", "three")):
        (members,) = np.nonzero(np.array(LABELS) == label)
        own[name] = []
        for activation in ("la_silu", "relu"):
            means = []
            for seed in (11, 22):
                right = [[(ORDER[members] < count).mean() for count in CORRECT[activation, seed]][1:]]
                means.append(fmean(right[0]))
            own[name].append(fmean(means))
        assert found[name] == (50, [f"{100 * share:.1f}" for share in own[name]])
    order = [fmean(own[row["name"]]) for row in content["rows"]]
    assert order == sorted(order)


def test_predictions_of_the_first_network_of_each_activation(run: Run) -> None:
    """The builder's networks take image i, of label i, for 3 - i where they are wrong."""
    (strip,) = section(run, "pictures").content["strips"]
    assert [row["activation"] for row in strip["predictions"]] == ["la_silu", "relu"]
    for row in strip["predictions"]:
        shown = []
        for count in CORRECT[row["activation"], 11][:3]:  # clean, gaussian noise at 1 and 5
            shown.append([label if ORDER[label] < count else 3 - label for label in range(4)])
        assert row["versions"] == shown


def test_a_run_of_old_says_what_it_lacks(run: Run) -> None:
    old = replace(run, cells=run.cells.drop(columns=["outcomes", "predicted"]), images=run.images[:0])
    (matrix,) = section(old, "significance").content["matrices"]
    above = matrix["rows"][0]["cells"][1]
    assert above == {"text": "–", "kind": "unknown", "said": "this run does not say which images were right"}
    assert section(old, "classes").nothing.startswith("The images have no labels")
    with_labels = replace(old, images=run.images)
    assert section(with_labels, "classes").nothing.startswith("This run does not say which images")
    assert section(old, "pictures").content["strips"][0]["predictions"] == []
    layers = run.layers.drop(columns=["rho", "rho_prime"])
    assert section(replace(run, layers=layers), "signals").nothing == "Not measured in this run."


def test_the_line_of_equal_retention_is_relus_mean_share(run: Run) -> None:
    (drawing,) = section(run, "tradeoff").drawings
    kept = fmean(score("relu", seed) for seed in (11, 22)) / fmean(
        SHARES["relu", seed][0] for seed in (11, 22)
    )
    assert drawing.data["expected"].tolist() == pytest.approx((drawing.data["clean"] * kept).tolist())
    most = "LA-SiLU is highest: 76.3% corrupted at 95.0% clean"
    assert drawing.finding == f"{most}; 1 of 1 other activation keep a larger share than ReLU"


def test_without_an_anchor_there_is_no_line(tmp_path: Path) -> None:
    run = made(tmp_path, correct={("mine", 1): CORRECT["relu", 11], ("yours", 1): CORRECT["relu", 22]})
    (drawing,) = section(run, "tradeoff").drawings
    assert drawing.data["expected"].isna().all()
    assert "others keep" not in drawing.finding


def test_the_matrix_has_both_chances_above_and_images_alone_below(run: Run) -> None:
    (matrix,) = section(run, "significance").content["matrices"]
    assert matrix["names"] == ["la_silu", "relu"]
    (_, above), (below, _) = (row["cells"] for row in matrix["rows"])
    lead = fmean(
        fmean(corruption_means("la_silu", seed)) - fmean(corruption_means("relu", seed)) for seed in (11, 22)
    )
    (pair,) = Analysis(run).significance["net"].to_dict("records")
    assert pair["joint_adjusted"] < 0.05  # 23 points, and both seeds much alike
    assert (above["text"], above["kind"]) == (f"+{100 * lead:.1f}", "more")
    assert (below["text"], below["kind"]) == (f"−{100 * lead:.1f}*", "noise")  # no colour
    assert "these trained networks alone" in below["said"]


def test_a_lead_that_is_not_sure_has_no_colour(tmp_path: Path) -> None:
    counts = {("elu", 1): 150, ("elu", 2): 130, ("relu", 1): 120, ("relu", 2): 118}
    run = made(tmp_path, correct={key: (190, *[count] * 6) for key, count in counts.items()})
    (matrix,) = section(run, "significance").content["matrices"]
    (_, above), (below, _) = (row["cells"] for row in matrix["rows"])
    (pair,) = Analysis(run).significance["net"].to_dict("records")
    assert (above["kind"], below["text"][-1]) == ("noise", "*")  # sure for these networks alone
    assert f"{100 * pair['joint_detectable']:.1f} points would be shown 4 times in 5" in above["said"]


def test_one_seed_has_a_dash_above(tmp_path: Path) -> None:
    run = made(tmp_path, correct={name: CORRECT[name] for name in (("relu", 11), ("la_silu", 11))})
    (matrix,) = section(run, "significance").content["matrices"]
    assert matrix["rows"][0]["cells"][1] == {"text": "–", "kind": "unknown", "said": ONE_SEED}


def test_what_fell_is_said(run: Run) -> None:
    content = section(run, "verdict").content
    impulse = [SHARES[key][3:5] for key in CORRECT]
    clean = fmean(SHARES[key][0] for key in CORRECT)
    assert content["fallen"] == (
        f"Most is lost to impulse_noise: mean accuracy falls from {100 * clean:.1f}% to "
        f"{100 * fmean(map(fmean, impulse)):.1f}%. At severity 5: LA-SiLU 52.5%, ReLU 12.5% "
        "(guessing: 25.0%)."
    )
    _, lead = content["verdicts"]
    assert lead.startswith("LA-SiLU leads ReLU by 23.5 points (95% interval of this pair alone: ")
    assert ": more than chance in trainings and images would give (p = " in lead
    rank, images = content["leads"]
    assert "LA-SiLU is first with a probability of " in rank
    assert images.startswith("These trained networks alone: LA-SiLU leads ReLU by 23.5 points")
    assert ": more than chance in images would give (p < 0.0001). That says nothing about" in images


def test_equals_at_the_top_are_counted(tmp_path: Path) -> None:
    counts = CORRECT["relu", 11]
    run = made(tmp_path, correct={("relu", 1): counts, ("elu", 1): counts, ("gelu", 1): (190, *[10] * 6)})
    assert (
        section(run, "verdict")
        .content["fallen"]
        .endswith("each of 2 activations 10.0%, GELU 5.0% (guessing: 25.0%).")
    )


def test_the_distribution_counts_results_that_reach_an_accuracy(run: Run) -> None:
    (drawing,) = section(run, "scores").drawings
    for activation in ("relu", "la_silu"):
        results = [share for seed in (11, 22) for share in SHARES[activation, seed][1:]]
        own = drawing.data[drawing.data["activation"] == activation]
        for least, share in own[["least", "share"]].to_numpy():
            assert share == pytest.approx(fmean(result >= least - 1e-9 for result in results))
    assert drawing.finding.startswith("Accuracy of 50% or more: LA-SiLU in ")


def test_curves_are_in_their_group(run: Run) -> None:
    panels = section(run, "curves").panels
    found = {(drawing.heading, panel.heading) for panel in panels for drawing in panel.drawings}
    assert found == {(name, group.capitalize()) for name, group in CORRUPTIONS}


def test_every_drawing_has_its_own_name(run: Run) -> None:
    frames = {}
    for kind, rows in (("cells", run.cells), ("layers", run.layers)):
        other = rows.assign(architecture="big", checkpoint="big " + rows["checkpoint"])
        frames[kind] = pd.concat([rows, other], ignore_index=True)
    analysis = Analysis(replace(run, cells=frames["cells"], layers=frames["layers"]))
    names = [drawing.name for make in SECTIONS for drawing in make(analysis).drawings]
    assert len(set(names)) == len(names) == 38


def test_loss_shows_both_quantities_and_tests_no_few_activations(run: Run) -> None:
    (panel,) = section(run, "loss").panels
    assert [drawing.name for drawing in panel.drawings] == [
        f"loss-0-{name}{part}"
        for part in ("", "-layers")
        for name in ("input-disturbance", "scale-free-amplification")
    ]
    cost, amplification, layers, _ = panel.drawings
    assert len(cost.data) == len(CORRECT)
    assert cost.note.startswith("LA-SiLU has the least, 90.0%, and loses ")  # 0.2 * 3 * 1.5, like ReLU
    assert amplification.note.startswith("ReLU has the least, 65.0%, and loses ")
    assert panel.note == "No test: 2 activations, and a test takes 8."
    assert layers.data["between"].isna().all()  # every layer's input moves alike
    (table,) = section(run, "loss").tables
    assert [row[:3] for row in table.rows[:2]] == [
        ["act1", "0", "Input disturbance"],
        ["act1", "0", "Scale-free amplification"],
    ]


def test_loss_says_how_many_correlations_are_beyond_chance() -> None:
    counts = {
        (f"a{place}", seed): (200 - place, *[200 - 20 * place - seed] * 6)
        for place in range(8)
        for seed in (1, 2)
    }
    (panel,) = section(Builder(correct=counts).run(), "loss").panels
    assert panel.note.startswith("2 of 2 correlations between the 8 activations are beyond")
    assert panel.drawings[1].note.startswith("over 8 activations Spearman’s correlation is ")


def test_what_is_missing_is_not_skipped_in_loss(run: Run) -> None:
    """A layer without a number leaves its checkpoint out; so does one that is not finite."""
    for bad in (np.nan, np.inf):
        layers = run.layers.copy()
        place = (layers["checkpoint"] == "relu-11") & (layers["index"] == 1)
        layers.loc[place, "scale_free_amplification_mean"] = bad
        moved = section(replace(run, layers=layers), "loss").panels[0].drawings[0].data
        assert sorted(moved["checkpoint"]) == ["la_silu-11", "la_silu-22", "relu-22"]


def test_layers_of_older_runs_are_drawn_with_the_columns_that_they_have(run: Run) -> None:
    names = ["input_disturbance_mean", "scale_free_amplification_mean", "activation_offset"]
    old = replace(run, layers=run.layers.drop(columns=names))
    headings = {
        name: [one.heading for one in section(old, name).panels[0].drawings] for name in ("profile", "means")
    }
    assert headings["profile"][2:] == ["Fluctuation ratio (output / input)"]
    assert headings["means"] == ["Activation mean, clean images"]


def test_loss_says_what_is_missing(tmp_path: Path, run: Run) -> None:
    without = replace(run, layers=run.layers.drop(columns="input_disturbance_mean"))
    assert "evaluate again to have it" in section(without, "loss").nothing
    assert section(made(tmp_path, probes=False), "loss").nothing == "Not measured (--no-probes)."


def test_layers_are_named_below_their_figures_where_they_are_few(run: Run, tmp_path: Path) -> None:
    assert section(run, "profile").panels[0].note == "Layers: 0 act1, 1 block.act2."
    many = made(tmp_path, layer_names=[(f"act{place}", 8) for place in range(21)])
    assert section(many, "profile").panels[0].note == ""


def test_seeds_are_dots_on_the_ruler(run: Run, tmp_path: Path) -> None:
    board = section(run, "leaderboard").content["board"]
    first, last = board["ruler"]
    for row, activation in zip(board["rows"], ("la_silu", "relu"), strict=True):
        shares = [100 * score(activation, seed) for seed in (11, 22)]
        assert row["seeds"] == pytest.approx([100 * (s - first) / (last - first) for s in shares], abs=0.01)
    one = made(tmp_path, correct={("relu", 1): CORRECT["relu", 11]})
    assert section(one, "leaderboard").content["board"]["rows"][0]["seeds"] == []


def test_a_seed_far_from_its_interval_is_on_the_ruler(tmp_path: Path) -> None:
    counts = {("relu", seed): [120] * 7 for seed in range(9)} | {("relu", 9): [20] * 7}
    board = section(made(tmp_path, correct=counts), "leaderboard").content["board"]
    first, last = board["ruler"]
    assert first <= 10
    assert min(board["rows"][0]["seeds"]) == pytest.approx(100 * (10 - first) / (last - first))


def test_an_architecture_of_one_run_has_its_own_anchor(tmp_path: Path) -> None:
    """Run a has net and big, run b net alone: big's ReLU has no run in its name, net's two have."""
    net, big = Builder(), Builder(architecture="big")
    first, second = net.write(tmp_path / "a"), net.write(tmp_path / "b")
    for kind, rows in (("cells", big.cells()), ("layers", big.layers())):
        rows.assign(checkpoint="big " + rows["checkpoint"]).to_parquet(first / kind / "part-9.parquet")
    tradeoff = section_of(reports.make_report(first, second).analysis, "tradeoff")
    assert [drawing.data["expected"].notna().all() for drawing in tradeoff.drawings] == [True, True]


def test_findings() -> None:
    curve = pd.DataFrame({"activation": ["a", "b", "a"], "severity": [5, 5, 0], "accuracy": [0.2, 0.4, 0.9]})
    assert curve_finding("fog", curve) == "fog at severity 5: b 40.0% (highest), a 20.0% (lowest)"
    assert curve_finding("fog", curve[:1]) == "fog at severity 5: a 20.0%"
    layers = pd.DataFrame({"activation": ["a", "a", "b"], "gain": [0.5, 1.5, 0.25]})
    assert (
        depth_finding("Gain", layers, "gain") == "Gain, mean over layers: b 0.250 (lowest), a 1.00 (highest)"
    )
    assert depth_finding("Gain", layers[:1], "gain") == "Gain, mean over layers: a 0.500"
    assert depth_finding("Gain", layers.assign(gain=float("nan")), "gain") == "Gain: no finite value"


def test_the_glossary_has_the_formula_of_each_activation(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of this package, and what a run records of a user's own; each once, whatever its parameters."""
    monkeypatch.setattr(facts, "_SEEN", {})
    names = {"la_silu": "mine(alpha=0.5)", "relu": "relu"}
    recorded = {"label": "Mine", "formula": "x < 1 ? x : 1", "origin": "mine:A"}
    remember([("mine(alpha=0.5)", recorded)])
    renamed = replace(run, cells=run.cells.assign(activation=run.cells["activation"].map(names)))
    found = section(renamed, "glossary").content["formulas"]
    assert sorted(found) == ["Mine: x < 1 ? x : 1", "ReLU: max(x, 0) (Nair & Hinton 2010)"]
    assert "Mine: x &lt; 1 ? x : 1" in page_of(reports.Report(renamed), "glossary")
