"""The sentences of the verdict: who is most robust, by how much, whether it is beyond chance, and what fell.

If the report is about several runs, those on what changed come first: `reports.multi_run.sentences`.
"""

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from reports.analysis import MOST_COMPARED, Analysis
from reports.grid import Grid
from reports.layout import Section
from reports.multi_run import sentences
from reports.names import label, noun, split_run
from reports.number_formats import p_text, percent, points, probability
from robustbench_act.comparison import LEVEL
from robustbench_act.english import count, joined, some
from robustbench_act.records import CheckpointInfo, counted_kinds
from robustbench_act.records.behaviour import notes as network_notes

_FEW_VALUES = 4
NO_LABELS = (
    "The images have no labels. Agreement stands for accuracy throughout: the share of images that a network "
    "classifies as it does their clean versions, right or wrong."
)


def verdict(analysis: Analysis) -> Section:
    """Return the section."""
    run, found = analysis.run, analysis.run_changes
    first = ranking(analysis.board, labelled=run.labelled, images=analysis.words.images)
    decided, more = _leads(analysis)
    if len(found):  # of several runs the question is what changed
        told = sentences.details(found, analysis.between, analysis.corruption_changes)
        more = [*told, sentences.unpaired(analysis.unpaired, several=len(analysis.architectures) > 1), *first]
        first = sentences.verdicts(found, analysis.between, analysis.measure, images=analysis.words.images)
        decided = []
    fell = "" if analysis.nothing else fallen(analysis.grid, analysis.measure, chance=_chance(analysis))
    content = {
        "verdicts": [*first, *decided],
        "leads": [sentence for sentence in more if sentence],
        "fallen": fell,
        "notes": notes(
            run.info.checkpoints,
            analysis.scores,
            labelled=run.labelled,
            unlike=analysis.unlike,
            probed=analysis.layers["checkpoint"].nunique(),
        ),
        "facts": _facts(analysis),
    }
    return Section("verdict", "Verdict", "Verdict", content)


def _leads(analysis: Analysis) -> tuple[list[str], list[str]]:
    """Return what is said of the first ones' leads: the sentences that decide, and more."""
    several = len(analysis.architectures) > 1
    decide, more = [], []
    for name, found in analysis.significance.items():
        where = f" among the {name} networks" if several else ""
        board = analysis.board[analysis.board["architecture"] == name]
        most = MOST_COMPARED if len(board) > MOST_COMPARED else 0
        decide.append(lead(found, where=where))
        more += [standing(found, board.iloc[0], where=where, most=most), images_alone(found, where=where)]
    return decide, more


def _chance(analysis: Analysis) -> float | None:
    """Return the accuracy of guessing: 1 / classes; None without labels."""
    classes = analysis.run.info.dataset.classes
    return 1 / len(classes) if classes and analysis.run.labelled else None


def _facts(analysis: Analysis) -> list[tuple[str, str]]:
    """Return the headline figures as (value, what it counts)."""
    cells = analysis.run.cells
    bad = cells[cells["severity"] > 0]
    names = bad.drop_duplicates(["group", "corruption"]) if analysis.nothing else analysis.grid.corruptions
    first, *others = counted_kinds(names["group"])
    severities = joined([f"{value:g}" for value in sorted(bad["severity"].unique())])
    cohorts = {split_run(name)[0] for name in analysis.activations}
    runs = len(analysis.members)
    compared = count(len(cohorts), noun(cohorts)) + (f" in {runs} runs" if runs else " compared")
    name = analysis.run.info.dataset.name
    facts = [
        (count(cells["checkpoint"].nunique(), "checkpoint"), compared),
        (first, "".join(f"and {text}, " for text in others) + f"severity {severities}"),
        (count(int(cells["n"].max()), "image"), f"of {name}, in every cell"),
    ]
    if not analysis.failed.empty:
        facts.append((f"{len(analysis.failed)} failed", "left out of every average, listed below"))
    return facts


def ranking(board: pd.DataFrame, *, labelled: bool = True, images: str = "corrupted") -> list[str]:
    """Return a plain sentence for each architecture of a `robustbench_act.metrics.leaderboard`.

    `images` is what those of its headline are called: see `robustbench_act.records.HeadlineWords`.
    """
    if board.empty:
        return ["No checkpoint could be evaluated: every one of them failed, so there is nothing to compare."]
    several = len(board["architecture"].unique()) > 1
    return [
        _lead(own, labelled, images, where=f" among the {architecture} networks" if several else "")
        for architecture, own in board.groupby("architecture")
    ]


def _lead(board: pd.DataFrame, labelled: bool, images: str, *, where: str) -> str:
    first = board.iloc[0]
    kept = f"{percent(first['mca'])}% " + (
        f"accuracy on {images} images (clean: {percent(first['clean'])}%)"
        if labelled
        else f"agreement on {images} images with its own predictions on the clean ones"
    )
    best = label(first["activation"])
    several = any(split_run(name)[2] for name in board["activation"])
    rows = "rows" if several else f"{noun(board['activation'])}s"
    if len(board) == 1:
        return f"{best} has {kept}{where}. There is no other activation to compare it with."
    second = board.iloc[1]
    next_one = label(second["activation"])
    lead = first["mca"] - second["mca"]
    if percent(lead) == "0.0":
        return f"{best} and {next_one} lead level{where}, at {kept}."
    return (
        f"{best} comes first{where}: it has {kept}, {percent(lead)} points more than {next_one}, "
        f"the next of {len(board)} {rows}."
    )


def lead(pairs: pd.DataFrame, *, where: str = "") -> str:
    """Say whether the first one's lead over the second is beyond chance in trainings and images.

    Parameters
    ----------
    pairs : DataFrame
        `reports.paired_tests.significance` of an architecture: the first row is the lead.
    where : str
        Appended if there are several architectures.
    """
    first = pairs.iloc[0]
    if math.isnan(first["joint_p"]):
        return f"Whether other trainings would show the same{where} cannot be said: {first['joint_note']}."
    beyond = first["joint_adjusted"] < LEVEL
    chance = f"{'more' if beyond else 'not more'} than chance in trainings and images would give"
    said = f"{_size(first, 'joint', where)}: {chance} ({_p_of(first, 'joint', len(pairs))})."
    return said if beyond else f"{said} {shown(first)}"


def shown(pair: "pd.Series[Any]") -> str:
    """Say which lead a pair's seeds and images would have shown, beside one that they do not."""
    of = f"{count(int(pair['joint_seeds']), 'training seed')} and {count(int(pair['images_pairs']), 'image')}"
    if pair["joint_detectable"] > 1:
        return f"With {of}, no lead is shown 4 times in 5, however large."
    lead = f"a true lead of {percent(pair['joint_detectable'])} points is shown 4 times in 5"
    return f"With {of}, {lead}; a smaller one may well be missed."


def images_alone(pairs: pd.DataFrame, *, where: str = "") -> str:
    """Say whether these trained networks would do the same on other images; nothing on other trainings."""
    first = pairs.iloc[0]
    if math.isnan(first["images_p"]):
        return f"Whether other images would show the same{where} cannot be said: {first['images_note']}."
    chance = f"{'more' if first['images_adjusted'] < LEVEL else 'not more'} than chance in images would give"
    return (
        f"These trained networks alone: {_size(first, 'images', where)}: {chance} "
        f"({_p_of(first, 'images', len(pairs))}). That says nothing about other trainings."
    )


def _size(pair: "pd.Series[Any]", over: str, where: str) -> str:
    low, high = (points(pair[f"{over}_{end}"]) for end in ("low", "high"))
    size = f"{percent(abs(pair[f'{over}_difference']))} points{where}"
    interval = f"95% interval of this pair alone: {low} to {high}"
    return f"{label(pair['a'])} leads {label(pair['b'])} by {size} ({interval})"


def _p_of(pair: "pd.Series[Any]", over: str, pairs: int) -> str:
    family = f" after Holm’s correction for {pairs} pairs" if pairs > 1 else ""
    note = f"; {pair[f'{over}_note']}" if pair[f"{over}_note"] else ""
    return f"{p_text(pair[f'{over}_adjusted'])}{family}{note}"


def notes(
    checkpoints: Iterable[CheckpointInfo],
    scores: pd.DataFrame,
    *,
    labelled: bool = True,
    unlike: Iterable[str] = (),
    probed: int | None = None,
) -> list[str]:
    """Return what a reader must know before comparing: no labels, unlike recipes, repeated seeds, gaps.

    Parameters
    ----------
    checkpoints, scores
        Those of ``run.json``, and their scores.
    labelled
        Whether the images have labels.
    unlike
        Settings in which several runs differ.
    probed
        Number of checkpoints whose layers were measured; None to leave it out.
    """
    good = [entry for entry in checkpoints if entry.name in set(scores["checkpoint"])]
    found = [""] if labelled else [NO_LABELS]
    found += [_unlike_recipes(good), _unlike_data(good)]
    keys = ["architecture", "activation", "training_seed"]
    found += network_notes({entry.name: entry.behaviour for entry in good})
    again = scores[scores["training_seed"].notna() & scores.duplicated(keys)]
    if not again.empty:
        row = again.iloc[0]
        whose = f"{label(row['activation'])} ({row['architecture']})"
        found.append(
            f"Several checkpoints of {whose} share a training seed "
            f"(first: {row['training_seed']}); their row averages over whatever else differs between them."
        )
    telling = [key.replace("_", " ") for key in unlike if key not in ("created", "version")]
    if telling:
        differ = joined(telling)
        found.append(f"The runs differ in {differ} (see provenance), which may be what changed the numbers.")
    if probed and probed < len(scores):
        found.append(f"Layers were measured for {probed} of the {len(scores)} checkpoints only.")
    return [note for note in found if note]


def _unlike_recipes(checkpoints: Sequence[CheckpointInfo]) -> str:
    """Name the settings of training in which checkpoints differ, and their values: a few numbers."""
    recipes = [entry.recipe for entry in checkpoints]
    differ = []
    for key in dict.fromkeys(key for recipe in recipes for key in recipe):
        values = _distinct(recipe.get(key) for recipe in recipes)
        if len(values) > 1:
            few = len(values) <= _FEW_VALUES and all(isinstance(value, int | float) for value in values)
            differ.append(key.replace("_", " ") + (f" {joined(sorted(values))}" if few else ""))
    return _differ("training", ", ".join(differ))


def _unlike_data(checkpoints: Sequence[CheckpointInfo]) -> str:
    values = _distinct(entry.dataset for entry in checkpoints)
    return _differ("training data", some(values) if len(values) > 1 else "")


def _differ(what: str, how: str) -> str:
    return f"The checkpoints differ in their {what} ({how}), not in their activation alone." if how else ""


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list({json.dumps(value, sort_keys=True, default=str): value for value in values}.values())


def standing(pairs: pd.DataFrame, first: "pd.Series[Any]", *, where: str = "", most: int = 0) -> str:
    """Say how sure the first rank is, whom the first one surely leads, and how many pairs differ at all.

    Parameters
    ----------
    pairs : DataFrame
        `reports.paired_tests.significance` of an architecture.
    first : Series
        The first one's row of the leaderboard.
    where : str
        Appended if there are several architectures.
    most : int
        Number of activations compared, if these are not all.
    """
    if pairs["joint_p"].isna().all():
        return ""
    own, name = pairs[pairs["a"] == first["activation"]], label(first["activation"])
    said = []
    if len(pairs) > 1:  # of a single pair all is said
        led, apart = (int((rows["joint_adjusted"] < LEVEL).sum()) for rows in (own, pairs))
        among = f" among the first {most} of the leaderboard" if most else ""
        sure = f"{apart or 'none'} {'differs' if apart == 1 else 'differ'} for sure"
        open_ones = len(pairs) - apart
        rest = f" and {open_ones} {'is' if open_ones == 1 else 'are'} undecided" if open_ones else ""
        said.append(
            f"Beyond chance in trainings and images{where}, {name} leads {led or 'none'} of the "
            f"{len(own)} others{among}; of {'their' if most else 'all'} {len(pairs)} pairs, {sure}{rest}."
        )
    if not math.isnan(first["first"]):
        best, worst = int(first["rank_low"]), int(first["rank_high"])
        ranks = (
            f"chance leaves it the ranks {best} to {worst}" if best < worst else "no other rank is left to it"
        )
        likely = probability(first["first"])
        said.append(f"{name} is first with a probability of {likely}, and {ranks}.")
    return " ".join(said)


def fallen(grid: Grid, measure: str, *, chance: float | None = None) -> str:
    """Say which corruption of the headline costs most, and how much: over all networks, by activation.

    Parameters
    ----------
    grid : Grid
        All accuracies.
    measure : str
        What the shares are called.
    chance : float, optional
        Accuracy of guessing.
    """
    means = grid.means[:, :, 0].mean(axis=0)
    worst = grid.counted[int(np.nanargmin(means[grid.counted]))]
    name, top = grid.corruptions["corruption"][worst], grid.severities[-1]
    before, after = percent(grid.clean.mean()), percent(means[worst])
    text = f"Most is lost to {name}: mean {measure} falls from {before}% to {after}%"
    keys = [grid.checkpoints[key] for key in ("architecture", "activation")]
    at_top = pd.Series(grid.shares[:, worst, -1]).groupby(keys).mean().dropna()
    if len(at_top) < 2:
        return f"{text}."
    most, least = (f"{_whose(at_top, share)} {percent(share)}%" for share in (at_top.max(), at_top.min()))
    guessing = "" if chance is None else f" (guessing: {percent(chance)}%)"
    return f"{text}. At severity {top:g}: {most}, {least}{guessing}."


def _whose(shares: "pd.Series[float]", share: float) -> str:
    """Return who has a share, by (architecture, activation); their number if they are several."""
    names = [str(name) for _, name in shares.index[(shares - share).abs() < 5e-4]]
    return label(names[0]) if len(names) == 1 else f"each of {len(names)} activations"
