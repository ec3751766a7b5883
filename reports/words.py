"""The sentences of a report, computed from its tables: verdict, notes and what each figure shows."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from reports.grid import Grid
from reports.style import label

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


def points(difference: float) -> str:
    """Return a difference of shares in percentage points, with its sign.

    >>> points(0.0123), points(-0.5), points(float("nan"))
    ('+1.2', '−50.0', 'n/a')
    """
    return "n/a" if math.isnan(difference) else f"{100 * difference:+.1f}".replace("-", "−")


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
    """Return one or two plain sentences for each architecture of a `robustbench_act.metrics.leaderboard`."""
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
    if len(board) == 1:
        return f"{best} keeps {kept}{where}. There is no other activation to compare it with."
    second = board.iloc[1]
    next_one = label(second["activation"])
    lead = first["corrupted"] - second["corrupted"]
    if percent(lead) == "0.0":
        opening = f"{best} and {next_one} lead level{where}, at {kept}."
    else:
        opening = (
            f"{best} comes first{where}: it keeps {kept}, {percent(lead)} points more than {next_one}, "
            f"the next of {len(board)} activations."
        )
    return f"{opening} {_caution(board)}"


def _caution(board: pd.DataFrame) -> str:
    """Say how far the order can be trusted, from the intervals over training seeds alone."""
    first, second, others = board.iloc[0], board.iloc[1], board.iloc[1:]
    if pd.isna(first["low"]) or others["high"].isna().any():
        return (
            "Some activations have a single training seed and so no interval: "
            "a difference may come from the training seed alone."
        )
    clear = int((others["high"] < first["low"]).sum())
    if second["high"] < first["low"]:
        return (
            f"Its 95% interval over training seeds lies above {_all_others(clear, len(others))}: "
            "the lead is unlikely to come from the training seeds alone."
        )
    above = f"; that of {label(first['activation'])} lies above those of {clear} of the {len(others)} others"
    return (
        "Their 95% intervals over training seeds overlap, so the order of these two "
        f"may come from the training seeds alone{above if clear else ''}."
    )


def _all_others(clear: int, others: int) -> str:
    if clear == others:
        return "that of the other" if others == 1 else f"those of all {others} others"
    return f"those of {clear} of the {others} others, the next one's among them"


def notes(info: Mapping[str, Any], scores: pd.DataFrame, *, labelled: bool = True) -> list[str]:
    """Return what a reader must know before comparing: no labels, unlike recipes, repeated seeds."""
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
    return [note for note in found if note]


def _unlike(checkpoints: Sequence[Mapping[str, Any]], key: str, what: str) -> str:
    values = {repr(entry.get(key)) for entry in checkpoints}
    if len(values) < 2:
        return ""
    return f"The checkpoints differ in their {what} ({len(values)} kinds), not in their activation alone."


def lead(pairs: pd.DataFrame, *, where: str = "") -> str:
    """Say whether the lead of the first over the second is beyond the choice of images.

    Parameters
    ----------
    pairs : DataFrame
        `reports.tables.significance` of an architecture: the first row is the lead.
    where : str
        Said behind it, where there are several architectures.
    """
    first = pairs.iloc[0]
    low, high = (points(first[f"images_{end}"]) for end in ("low", "high"))
    p, size = first["images_adjusted"], points(first["images_difference"])
    beyond = "more" if p < 0.05 else "not more"
    return (
        f"Over the images, {label(first['a'])} leads {label(first['b'])} by {size} points{where} "
        f"(95% {low} to {high}): {beyond} than another choice of images would explain "
        f"({p_text(p)} after Holm’s correction)."
    )


def fallen(grid: Grid, measure: str) -> str:
    """Say which corruption takes most, and how much, on average over the networks."""
    means = grid.means[:, :, 0].mean(axis=0)
    worst = int(np.nanargmin(means))
    name, top = grid.corruptions["corruption"][worst], grid.severities[-1]
    at_top = pd.Series(grid.shares[:, worst, -1], index=list(grid.checkpoints["activation"])).sort_values()
    before, after = percent(grid.clean.mean()), percent(means[worst])
    text = f"Most is lost to {name}: mean {measure} falls from {before}% to {after}%"
    best, least = at_top.index[-1], at_top.index[0]
    if best == least:
        return f"{text}, {percent(at_top.mean())}% at severity {top:g}."
    return (
        f"{text}; at severity {top:g} from {percent(at_top.iloc[-1])}% ({label(best)}) down to "
        f"{percent(at_top.iloc[0])}% ({label(least)})."
    )


def tradeoff_finding(scores: pd.DataFrame, baseline: str | None) -> str:
    """Say how many checkpoints keep more of their clean accuracy than the baseline does."""
    best = scores.sort_values("corrupted", kind="stable").iloc[-1]
    kept, clean = percent(best["corrupted"]), percent(best["clean"])
    text = f"{label(best['activation'])} keeps most: {kept}% corrupted at {clean}% clean"
    if baseline is None or scores["expected"].isna().all():
        return text
    others = scores[scores["activation"] != baseline]
    above = int((others["corrupted"] > others["expected"]).sum())
    return f"{text}; {above} of {len(others)} others keep a larger share of it than {label(baseline)}"


def box_finding(name: str, data: pd.DataFrame) -> str:
    """Say between what the middle half of the element means lies, over all layers."""
    low, high = data["activation_q25"].min(), data["activation_q75"].max()
    return f"{name}: the middle half of the activation means lies between {number(low)} and {number(high)}"


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
