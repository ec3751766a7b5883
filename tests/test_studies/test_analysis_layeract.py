"""H-a to H-c, against sums over the tables written out."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import fmean

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

from robustbench_act.statistics import Joint
from studies.analysis.contrasts import PRIMARY, ROBUSTNESS, SECONDARY, Finding
from studies.analysis.layeract import means, mediation, noise, robustness
from studies.analysis.tables import Results
from studies.analysis.verdicts import verdicts
from tests.test_studies.study_tables import (
    GROUPS,
    LAYERS,
    PAIRS,
    SHIFT,
    SIX,
    STRENGTHS,
    VERSIONS,
    Tables,
    null_tables,
    of,
    rows_of,
    scale,
    write_tables,
)

SEEDS = range(1, 7)


def read(folder: Path, tables: Tables) -> Results:
    return Results.read(write_tables(folder, tables))


def one_of(findings: Iterable[Finding], measure: str, a: str, b: str, role: str = PRIMARY) -> Finding:
    (found,) = [one for one in findings if (one.measure, one.a, one.b, one.role) == (measure, a, b, role)]
    return found


def amplification(tables: Tables, name: str, strengths: Iterable[str] = STRENGTHS) -> list[float]:
    return [fmean(_logs(tables, name, seed, strengths, variation=False)) for seed in SEEDS]


def variation(tables: Tables, name: str, strengths: Iterable[str] = STRENGTHS) -> list[float]:
    return [fmean(_logs(tables, name, seed, strengths, variation=True)) for seed in SEEDS]


def _logs(
    tables: Tables, name: str, seed: int, strengths: Iterable[str], *, variation: bool
) -> Iterator[float]:
    for strength in strengths:
        for layer in LAYERS:
            (row,) = rows_of(tables["layers"], name, seed, condition=strength, layer=layer).to_dict("records")
            mean, variance = row["scale_free_amplification_mean"], row["scale_free_amplification_var"]
            yield np.log(np.sqrt(variance) / mean) if variation else np.log(mean)


def test_noise_is_the_mean_over_layers_and_strengths_of_logs(tmp_path: Path) -> None:
    tables = null_tables()
    scale(tables["layers"], "la_silu", scale_free_amplification_mean=0.9, scale_free_amplification_var=0.7)
    found = noise(read(tmp_path, tables))
    measures = {
        "log scale-free amplification": amplification,
        "log coefficient of variation of the amplification": variation,
    }
    for measure, of_networks in measures.items():
        for a, b in (("la_silu", "silu"), ("la_hardsilu", "hardsilu")):
            expected = stats.ttest_rel(of_networks(tables, a), of_networks(tables, b))
            one = one_of(found, measure, a, b)
            assert one.estimate == pytest.approx(
                np.mean(of_networks(tables, a)) - np.mean(of_networks(tables, b))
            )
            assert one.p == pytest.approx(expected.pvalue)
        alone = one_of(found, f"{measure}, gaussian:1", "la_silu", "silu", SECONDARY)
        values = (of_networks(tables, name, ["gaussian:1"]) for name in ("la_silu", "silu"))
        assert alone.p == pytest.approx(stats.ttest_rel(*values).pvalue)
        others = {one.b for one in found if one.measure == measure and one.a == "la_hardsilu"}
        assert others == {"silu", "hardsilu", "relu"}
    family = [one for one in found if one.role == PRIMARY]
    smallest = min(family, key=lambda one: one.p)
    assert len(family) == 4
    assert smallest.adjusted == pytest.approx(4 * smallest.p)
    outcomes = verdicts(found).set_index("a")["outcome"]
    assert outcomes.to_dict() == {"la_silu": "shown", "la_hardsilu": "not shown"}


def test_both_measures_of_noise_decide(tmp_path: Path) -> None:
    """LA-SiLU passes on less, but as unevenly; LA-HardSiLU passes on more, and more unevenly."""
    tables = null_tables()
    scale(tables["layers"], "la_silu", scale_free_amplification_mean=0.8, scale_free_amplification_var=0.64)
    scale(tables["layers"], "la_hardsilu", scale_free_amplification_mean=1.2, scale_free_amplification_var=2)
    found = noise(read(tmp_path, tables))
    assert one_of(found, "log scale-free amplification", "la_silu", "silu").adjusted < 1e-4
    assert verdicts(found)["outcome"].tolist() == ["not shown", "opposite shown"]


def test_the_papers_own_quantity_is_not_scale_free(tmp_path: Path) -> None:
    tables = null_tables()
    scale(tables["layers"], "la_silu", output_fluctuation_mean=0.5, output_fluctuation_var=0.5)
    found = noise(read(tmp_path, tables))
    raw = one_of(found, "log output fluctuation", "la_silu", "silu", SECONDARY)
    assert raw.estimate == pytest.approx(np.log(0.5), abs=0.03)
    measure = "log coefficient of variation of the output fluctuation"
    variation = one_of(found, measure, "la_silu", "silu", SECONDARY)
    assert variation.estimate == pytest.approx(np.log(0.5**0.5 / 0.5), abs=0.03)
    assert verdicts(found)["outcome"].tolist() == ["not shown"] * 2


def test_premise_compares_the_inputs_under_noise_on_the_image(tmp_path: Path) -> None:
    tables = null_tables()
    scale(tables["layers"], "la_hardsilu", input_fluctuation_mean=1.06)
    found = noise(read(tmp_path, tables))

    def moved(name: str) -> NDArray[np.float64]:
        rows = [rows_of(tables["layers"], name, seed, condition=SHIFT) for seed in SEEDS]
        return np.array([np.log(own["input_fluctuation_mean"]).mean() for own in rows])

    one = one_of(found, "log input fluctuation", "la_silu", "silu", SECONDARY)
    margin, apart = np.log(1.05), moved("la_silu") - moved("silu")
    sides = (
        stats.ttest_1samp(apart, -margin, alternative="greater"),
        stats.ttest_1samp(apart, margin, alternative="less"),
    )
    assert one.hypothesis == "a-premise"
    assert one.p == pytest.approx(max(side.pvalue for side in sides))
    assert one.note == "within 5%; 90 % interval"
    other = one_of(found, "log input fluctuation", "la_hardsilu", "hardsilu", SECONDARY)
    assert other.note == "not shown to be within 5%; 90 % interval"


def test_mean_activation_counts_nothing_below_a_millionth(tmp_path: Path) -> None:
    tables = null_tables()
    layers = tables["layers"]
    layers.loc[of(layers, "la_silu") & (layers["layer"] == "act2"), "activation_offset"] = -0.001
    layers.loc[(layers["network"] == "silu_3") & (layers["layer"] == "act1"), "activation_offset"] = 0.0
    found = means(read(tmp_path, tables))

    def offsets(name: str) -> list[float]:
        rows = [rows_of(layers, name, seed, condition="clean")["activation_offset"] for seed in SEEDS]
        return [np.mean([0.5 * np.log(value if value > 0 else 1e-6) for value in own]) for own in rows]

    expected = stats.ttest_rel(offsets("la_silu"), offsets("silu"))
    assert found[0].p == pytest.approx(expected.pvalue)
    assert found[0].estimate == pytest.approx(np.mean(offsets("la_silu")) - np.mean(offsets("silu")))
    assert [one.role for one in found] == [PRIMARY] * 2
    assert verdicts(found)["outcome"].tolist() == ["shown", "not shown"]


def scores(
    tables: Tables, groups: Iterable[str] = GROUPS, *, corruption_seed: int = 0
) -> dict[str, NDArray[np.float64]]:
    """Return (seeds, images) of each activation, in the order of their names."""
    found = {}
    for name in sorted(SIX):
        rows = [rows_of(tables["outcomes"], name, seed, corruption_seed=corruption_seed) for seed in SEEDS]
        own = [sum(row[group] for group in groups).to_numpy() for row in rows]  # type: ignore[union-attr]
        found[name] = np.array(own) / (VERSIONS * len(list(groups)))
    return found


def joint(values: dict[str, NDArray[np.float64]]) -> Joint:
    return Joint.of(values, dict.fromkeys(values, SEEDS))


def more_robust(tables: Tables, *names: str) -> Tables:
    """Let activations get one version more of each group right."""
    outcomes = tables["outcomes"]
    for name in names:
        chosen = of(outcomes, name)
        outcomes.loc[chosen, list(GROUPS)] = (outcomes.loc[chosen, list(GROUPS)] + 1).clip(upper=VERSIONS)
    return tables


def assert_is_joint(one: Finding, expected: Joint) -> None:
    pair = expected.compare(one.a, one.b)
    assert one.estimate == pytest.approx(100 * pair.difference)
    assert (one.low, one.high) == pytest.approx(tuple(100 * end for end in pair.interval))
    assert one.p == pytest.approx(pair.p)


def test_robustness_is_the_joint_analysis_of_all_activations(tmp_path: Path) -> None:
    tables = more_robust(null_tables(), *PAIRS[::2])
    found = robustness(read(tmp_path, tables), clean_margin=None)
    first, second = (one for one in found if one.hypothesis == "c" and one.role == PRIMARY)
    assert_is_joint(first, joint(scores(tables)))
    assert_is_joint(second, joint(scores(tables)))
    low, high = sorted((first.p, second.p))
    assert sorted((first.adjusted, second.adjusted)) == pytest.approx([2 * low, max(2 * low, high)])
    groups = {"c19 without weather": ("noise", "blur", "digital", "extra"), "noise": ("noise",)}
    for measure, own in {**groups, "shifts": ("shift",)}.items():
        assert_is_joint(one_of(found, measure, "la_silu", "silu", SECONDARY), joint(scores(tables, own)))


def test_both_pairs_open_the_way_to_all_element_wise_functions(tmp_path: Path) -> None:
    tables = more_robust(null_tables(), "la_silu", "la_hardsilu")
    found = robustness(read(tmp_path, tables), clean_margin=None)
    pairs = [one for one in found if one.hypothesis == "c2"]
    assert {(one.a, one.b) for one in pairs} == {
        (a, b) for a in ("la_silu", "la_hardsilu") for b in ("silu", "hardsilu", "relu")
    }
    p = np.sort([one.p for one in pairs])
    assert np.sort([one.adjusted for one in pairs]) == pytest.approx(
        np.minimum(np.maximum.accumulate(p * [6, 5, 4, 3, 2, 1]), 1)
    )
    assert verdicts(found)["outcome"].tolist() == ["shown"] * 8


@pytest.mark.parametrize("better", [("la_silu",), ("silu", "hardsilu")])
def test_one_pair_alone_makes_no_claim_on_others(tmp_path: Path, better: tuple[str, ...]) -> None:
    tables = more_robust(null_tables(), *better)
    found = robustness(read(tmp_path, tables), clean_margin=None)
    pairs = [one for one in found if one.hypothesis == "c2"]
    assert {(one.role, one.note) for one in pairs} == {(SECONDARY, "no claim: H-c is not shown for both")}
    outcome = ["shown", "not shown"] if better == ("la_silu",) else ["opposite shown"] * 2
    assert verdicts(found)[["hypothesis", "outcome"]].to_numpy().tolist() == [["c", one] for one in outcome]


def test_clean_accuracy_says_whether_it_is_within_the_margin(tmp_path: Path) -> None:
    tables = null_tables()
    found = robustness(read(tmp_path, tables), clean_margin=0.5)
    one = one_of(found, "clean", "la_silu", "silu", SECONDARY)
    values = {
        name: np.array([rows_of(tables["clean"], name, seed)["right"] for seed in SEEDS], dtype=float)
        for name in sorted(SIX)
    }
    assert_is_joint(one, joint(values))
    assert one.note == "lower by less than 50 points"
    for margin, kept in ((-one.low / 100 + 1e-6, True), (-one.low / 100 - 1e-6, False)):
        again = robustness(read(tmp_path, tables), clean_margin=margin)
        note = one_of(again, "clean", "la_silu", "silu", SECONDARY).note
        assert note.startswith("lower" if kept else "not shown to be lower")


def test_other_analyses_of_robustness(tmp_path: Path) -> None:
    tables = more_robust(null_tables(), "la_silu")
    found = robustness(read(tmp_path, tables), clean_margin=None)
    for left in GROUPS:
        rest = [group for group in GROUPS if group != left]
        role = SECONDARY if left == "weather" else ROBUSTNESS
        one = one_of(found, f"c19 without {left}", "la_silu", "silu", role)
        assert_is_joint(one, joint(scores(tables, rest)))
    again = one_of(found, "c19, corruptions with seed 1", "la_silu", "silu", ROBUSTNESS)
    assert_is_joint(again, joint(scores(tables, corruption_seed=1)))
    networks = {name: own.mean(axis=1) for name, own in scores(tables).items()}
    logits = (np.log(networks[name] / (1 - networks[name])) for name in ("la_silu", "silu"))
    logit = one_of(found, "c19, logit", "la_silu", "silu", ROBUSTNESS)
    assert logit.p == pytest.approx(stats.ttest_rel(*logits).pvalue)


def test_mediation_is_two_rank_correlations(tmp_path: Path) -> None:
    tables = null_tables()
    between, within = mediation(read(tmp_path, tables))
    right = {name: own.mean(axis=1) for name, own in scores(tables).items()}
    rows = []
    for name in SIX:
        for seed, gain in zip(SEEDS, amplification(tables, name), strict=True):
            clean = rows_of(tables["clean"], name, seed)["right"].mean()
            rows.append((name, gain, clean - right[name][seed - 1]))
    table = pd.DataFrame(rows, columns=["name", "gain", "lost"])
    centres = table.groupby("name").mean()
    inner = table[["gain", "lost"]] - centres.loc[table["name"]].to_numpy()
    assert between.estimate == pytest.approx(stats.spearmanr(centres["gain"], centres["lost"]).statistic)
    assert within.estimate == pytest.approx(stats.spearmanr(inner["gain"], inner["lost"]).statistic)
