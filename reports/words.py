"""The sentences of a report, computed from its tables: verdict, notes and what each figure shows."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from reports.grid import Grid
from reports.names import label, split_run
from robustbench_act.comparison import LEVEL

NO_LABELS = (
    "The images have no labels. Agreement stands for accuracy throughout: the share of images that a network "
    "classifies as it does their clean versions, right or wrong."
)


def percent(share: Any) -> str:
    """Return a share as percent with one decimal and no sign; "n/a" where there is none.

    >>> percent(0.12345), percent(float("nan"))
    ('12.3', 'n/a')
    """
    return "n/a" if pd.isna(share) else f"{100 * share:.1f}"


def number(value: Any) -> str:
    """Return a number with three significant digits; "n/a" where there is none.

    >>> number(0.27), number(123.4), number(float("nan"))
    ('0.270', '123', 'n/a')
    """
    return "n/a" if pd.isna(value) else f"{value:#.3g}".removesuffix(".")


def count(amount: int, noun: str) -> str:
    """Return an amount with its noun, in the plural where needed.

    >>> count(1, "seed"), count(1000, "image")
    ('1 seed', '1,000 images')
    """
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def plain(value: object) -> str:
    """Return a value as it is; a dash where there is none.

    >>> plain(3), plain(None)
    ('3', '–')
    """
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "–" if missing else str(value)


def slug(name: str) -> str:
    """Return a name as a part of a file's name.

    >>> slug("fog [224]"), slug("../<evil>")
    ('fog-224', 'evil')
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]


def upper_first(text: str) -> str:
    """Return a text with its first letter as a capital; names inside stay as they are.

    >>> upper_first("noise"), upper_first("VGG16")
    ('Noise', 'VGG16')
    """
    return text[:1].upper() + text[1:]


def points(difference: float) -> str:
    """Return a difference of shares in percentage points, with its sign.

    >>> points(0.0123), points(-0.5), points(-0.0001), points(float("nan"))
    ('+1.2', '−50.0', '0.0', 'n/a')
    """
    text = f"{100 * difference:+.1f}"
    return "n/a" if math.isnan(difference) else "0.0" if float(text) == 0 else text.replace("-", "−")


def change(difference: float) -> str:
    """Return a difference in percentage points, with two decimals where one would say that there is none.

    >>> change(-0.0123), change(0.0003), change(1e-17)
    ('−1.2', '+0.03', '0.0')
    """
    text, fine = points(difference), f"{100 * difference:+.2f}"
    return fine.replace("-", "−") if text == "0.0" and float(fine) else text


def p_value(p: float) -> str:
    """Return a p-value with two digits, those that are very small as a bound.

    >>> p_value(0.0321), p_value(1e-9), p_value(float("nan"))
    ('0.032', '< 0.0001', 'n/a')
    """
    if math.isnan(p):
        return "n/a"
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def p_text(p: float) -> str:
    """Return a p-value for a sentence.

    >>> p_text(0.0321), p_text(1e-9)
    ('p = 0.032', 'p < 0.0001')
    """
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def measure(*, labelled: bool) -> str:
    """Return what the shares of a run are called."""
    return "accuracy" if labelled else "agreement"


def verdict(board: pd.DataFrame, *, labelled: bool = True) -> list[str]:
    """Return a plain sentence for each architecture of a `robustbench_act.metrics.leaderboard`."""
    if board.empty:
        return ["No checkpoint could be evaluated: every one of them failed, so there is nothing to compare."]
    several = len(board["architecture"].unique()) > 1
    return [
        _architecture_verdict(own, labelled, where=f" among the {architecture} networks" if several else "")
        for architecture, own in board.groupby("architecture")
    ]


def _architecture_verdict(board: pd.DataFrame, labelled: bool, *, where: str) -> str:
    first = board.iloc[0]
    clean = f"(clean: {percent(first['clean'])}%)"
    against = clean if labelled else "with its own predictions on the clean ones"
    kept = f"{percent(first['corrupted'])}% {measure(labelled=labelled)} on corrupted images {against}"
    best = label(first["activation"])
    rows = "rows" if any(split_run(name)[2] for name in board["activation"]) else "activations"
    if len(board) == 1:
        return f"{best} has {kept}{where}. There is no other activation to compare it with."
    second = board.iloc[1]
    next_one = label(second["activation"])
    lead = first["corrupted"] - second["corrupted"]
    if percent(lead) == "0.0":
        return f"{best} and {next_one} lead level{where}, at {kept}."
    return (
        f"{best} comes first{where}: it has {kept}, {percent(lead)} points more than {next_one}, "
        f"the next of {len(board)} {rows}."
    )


def beyond_noise(pairs: pd.DataFrame, over: str, *, where: str = "") -> str:
    """Say whether the lead of the first over the second is beyond one kind of chance.

    Parameters
    ----------
    pairs : DataFrame
        `reports.paired_tests.significance` of an architecture: the first row is the lead.
    over : str
        "images" or "seeds".
    where : str
        Said behind it, where there are several architectures.
    """
    first = pairs.iloc[0]
    what = {"images": "the images", "seeds": f"{count(int(first['seeds_pairs']), 'training seed')}"}[over]
    other = {"images": "another choice of images", "seeds": "other training runs"}[over]
    names = f"{label(first['a'])} leads {label(first['b'])}"
    p = first[f"{over}_adjusted"]
    if math.isnan(p):
        reason = first[f"{over}_note"] or "there is no test"
        return f"Whether {other} would have told the same{where} cannot be said: {reason}."
    low, high = (points(first[f"{over}_{end}"]) for end in ("low", "high"))
    interval = f"95% interval of this pair alone: {low} to {high}"
    size = f"{points(first[f'{over}_difference'])} points{where} ({interval})"
    beyond = "more" if p < LEVEL else "not more"
    family = f" after Holm’s correction for {len(pairs)} pairs" if len(pairs) > 1 else ""
    note = f"; {first[f'{over}_note']}" if first[f"{over}_note"] else ""
    return f"Over {what}, {names} by {size}: {beyond} than {other} would explain ({p_text(p)}{family}{note})."


def notes(
    info: Mapping[str, Any], scores: pd.DataFrame, *, labelled: bool = True, probed: int | None = None
) -> list[str]:
    """Return what a reader must know before comparing: no labels, unlike recipes, repeated seeds, gaps.

    Parameters
    ----------
    info, scores
        Of the run.
    labelled
        Whether the images have labels.
    probed
        Of how many checkpoints the layers were measured; None where that is no matter.
    """
    good = [entry for entry in info["checkpoints"] if entry["name"] in set(scores["checkpoint"])]
    found = [""] if labelled else [NO_LABELS]
    found += [_unlike(good, "recipe", "training recipes"), _unlike(good, "dataset", "training data")]
    keys = ["architecture", "activation", "training_seed"]
    again = scores[scores["training_seed"].notna() & scores.duplicated(keys)]
    if not again.empty:
        row = again.iloc[0]
        whose = f"{label(row['activation'])} ({row['architecture']})"
        found.append(
            f"Several checkpoints of {whose} share a training seed "
            f"(first: {row['training_seed']}); their row averages over whatever else differs between them."
        )
    if info.get("unlike"):
        differ = joined([key.replace("_", " ") for key in info["unlike"]])
        found.append(f"The runs differ in {differ} (see provenance), which may be what changed the numbers.")
    if probed and probed < len(scores):
        found.append(f"Layers were measured for {probed} of the {len(scores)} checkpoints only.")
    return [note for note in found if note]


def _unlike(checkpoints: Sequence[Mapping[str, Any]], key: str, what: str) -> str:
    values = {json.dumps(entry.get(key), sort_keys=True, default=str) for entry in checkpoints}
    if len(values) < 2:
        return ""
    return f"The checkpoints differ in their {what} ({len(values)} kinds), not in their activation alone."


def standing(pairs: pd.DataFrame, *, where: str = "", most: int = 0) -> str:
    """Say how many others the first one leads beyond noise, and how many pairs differ at all.

    Parameters
    ----------
    pairs : DataFrame
        `reports.paired_tests.significance` of an architecture.
    where : str
        Said behind it, where there are several architectures.
    most : int
        How many were compared, where these are not all.
    """
    first = pairs[pairs["a"] == pairs["a"].iloc[0]]
    led = {over: int((first[f"{over}_adjusted"] < LEVEL).sum()) for over in ("images", "seeds")}
    apart = {over: int((pairs[f"{over}_adjusted"] < LEVEL).sum()) for over in ("images", "seeds")}
    name = label(first["a"].iloc[0])
    others = f"{len(first)} others" + (f" among the {most} most robust" if most else "")
    whose = "their" if most else "all"
    return (
        f"Beyond noise{where}, {name} leads {led['images']} of the {others} over the images and "
        f"{led['seeds']} over training seeds. Of {whose} {len(pairs)} pairs, {apart['images']} differ over "
        f"the images and {apart['seeds'] or 'none'} over training seeds."
    )


def fallen(grid: Grid, measure: str, *, chance: float | None = None) -> str:
    """Say which corruption takes most, and how much: means over the networks, then of each activation.

    Parameters
    ----------
    grid : Grid
        All accuracies.
    measure : str
        What the shares are called.
    chance : float, optional
        What guessing gives.
    """
    means = grid.means[:, :, 0].mean(axis=0)
    worst = int(np.nanargmin(means))
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
    """Return who has a share, by (architecture, activation); how many, where they are several."""
    names = [str(name) for _, name in shares.index[(shares - share).abs() < 5e-4]]
    return label(names[0]) if len(names) == 1 else f"each of {len(names)} activations"


def tradeoff_finding(scores: pd.DataFrame, baseline: str | None) -> str:
    """Say who keeps most, and how many activations keep a larger share than the baseline does."""
    means = scores.groupby("activation")[["clean", "corrupted", "expected"]].mean()
    best = means.sort_values("corrupted", kind="stable").iloc[-1]
    kept, clean = percent(best["corrupted"]), percent(best["clean"])
    text = f"{label(str(best.name))} keeps most: {kept}% corrupted at {clean}% clean"
    if baseline is None or means["expected"].isna().all() or len(means) == 1:
        return text
    others = means.drop(index=baseline)
    above = int((others["corrupted"] > others["expected"]).sum())
    compared = count(len(others), "other activation")
    return f"{text}; {above} of {compared} keep a larger share than {label(baseline)}"


def cost_finding(data: pd.DataFrame) -> str:
    """Say how fluctuation and loss go together over activations, of `reports.tables.fluctuation_cost`."""
    means = data.groupby("activation")[["fluctuation", "lost"]].mean()
    if len(means) < 3 or any(len(set(means[name])) == 1 for name in means):
        row = means.sort_values("fluctuation", kind="stable").iloc[0]
        change = "loses" if row["lost"] >= 0 else "gains"
        moved, lost = percent(row["fluctuation"]), percent(abs(row["lost"]))
        return f"{label(str(row.name))} moves least: by {moved}%, and {change} {lost} points"
    found = stats.spearmanr(means["fluctuation"], means["lost"].round(12))
    correlation = f"{number(found.statistic)} ({p_text(found.pvalue)})"
    return f"over {len(means)} activations Spearman’s correlation is {correlation}"


def correlation_finding(data: pd.DataFrame, measure: str) -> str:
    """Say in which layers fluctuation goes with what is lost least and most, all at the same noise."""
    found = data[data["within_cells"]].dropna(subset="correlation").sort_values("correlation", kind="stable")
    if found.empty:
        return "Spearman’s correlation cannot be told: one of the two does not vary"
    ends = [
        f"{number(row['correlation'])} ({row['layer']})"
        for row in found.iloc[[0, -1] if len(found) > 1 else [0]].to_dict("records")
    ]
    return f"Correlation of fluctuation with {measure} lost, within cells: {' to '.join(ends)}"


def box_finding(name: str, data: pd.DataFrame) -> str:
    """Say between what the middle halves of all layers' element means lie."""
    low, high = data["activation_q25"].min(), data["activation_q75"].max()
    return f"{name}: in every layer the middle half of the means lies within {number(low)} and {number(high)}"


def curve_finding(corruption: str, curve: pd.DataFrame) -> str:
    """Say who is best and worst at the highest severity of one corruption's curves."""
    top = curve["severity"].max()
    at_top = curve[curve["severity"] == top].sort_values(["accuracy", "activation"], ascending=[False, True])
    best, worst = at_top.iloc[0], at_top.iloc[-1]
    text = f"{corruption} at severity {top:g}: {label(best['activation'])} {percent(best['accuracy'])}%"
    if len(at_top) == 1:
        return text
    return f"{text} (best), {label(worst['activation'])} {percent(worst['accuracy'])}% (lowest)"


def depth_finding(title: str, table: pd.DataFrame, value: str) -> str:
    """Say which activation has the lowest and the highest mean of `value` over the layers."""
    means = table.groupby("activation")[value].mean().sort_values(kind="stable").dropna()
    if means.empty:
        return f"{title}: no finite value"
    lowest = f"{title}, mean over layers: {label(means.index[0])} {number(means.iloc[0])}"
    if len(means) == 1:
        return lowest
    return f"{lowest} (lowest), {label(means.index[-1])} {number(means.iloc[-1])} (highest)"


def joined(names: Sequence[object]) -> str:
    """Return a list as people write it.

    >>> joined([1, 3, 5])
    '1, 3 and 5'
    """
    words = [str(name) for name in names]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
