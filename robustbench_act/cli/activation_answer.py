"""What `actrobust compare RUN --activations MINE,THEIRS` answers: sentences, tables, JSON."""

import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reports.names import label
from reports.number_formats import p_text, percent, points
from reports.paired_tests import images_test
from reports.sections.verdict import images_alone
from robustbench_act.cli.result_tables import interval, p_value
from robustbench_act.cli.table_formats import Block, decimals, signed
from robustbench_act.english import count
from robustbench_act.metrics import (
    SETTING,
    HeadlineWords,
    checkpoint_scores,
    headline_words,
    image_scores,
    named,
    with_axes,
)
from robustbench_act.run import Run
from robustbench_act.statistics import holm
from robustbench_act.statistics.intervals import CONFIDENCE

_TITLES = {
    "mean": "Mean over {cells}",
    "group": "By group of corruptions",
    "corruption": "By corruption",
    "shifts": "Mean over input shifts",
    "shift": "By input shift",
}


class ActivationAnswer:
    """The first of some activations of a run against each of the others.

    Parameters
    ----------
    run
        A finished run.
    names
        Names or labels of activations.
    """

    def __init__(self, run: Run, names: Sequence[str]) -> None:
        self.run = run
        self.table = run.compare_activations(*names)

    def parts(self) -> Iterator["Part"]:
        """Yield what is said of each architecture."""
        groups = list(self.table.groupby(SETTING, sort=False))
        words = headline_words(self.run.cells["group"])
        for setting, rows in groups:
            where = f"{', '.join(map(str, filter(None, setting)))}: " if len(groups) > 1 else ""
            measure = "accuracy" if self.run.labelled else "agreement"
            yield Part(rows, words, measure, where, self._images_alone(rows))

    def _images_alone(self, rows: pd.DataFrame) -> list[str]:
        """Say for each mean without a test of trainings whether other images would show the same."""
        outcomes = image_scores(self.run.cells)
        untested = rows[(rows["level"] == "mean") & rows["p"].isna()]
        if outcomes is None or untested.empty:
            return []
        scores = with_axes(checkpoint_scores(self.run.cells))
        found = []
        for row in untested.to_dict("records"):
            leads = row["difference"] >= 0
            pair = (row["a"], row["b"]) if leads else (row["b"], row["a"])
            own, other = (_networks(scores, row, name) for name in pair)
            found.append({"a": pair[0], "b": pair[1], **images_test(own, other, outcomes)})
        table = pd.DataFrame(found)
        table["images_adjusted"] = holm(table["images_p"])
        places = range(len(table))
        return [images_alone(table.iloc[[place, *places[:place], *places[place + 1 :]]]) for place in places]

    def to_json(self) -> str:
        """Return rows, and the families of tests that were corrected together, as JSON."""
        families = self.table.groupby([*SETTING, "level"], sort=False)["p"].count().rename("tests")
        return json.dumps(
            {
                "run": str(self.run.path),
                "images": self.run.info.dataset.images,
                "correction": "Holm inside each family",
                "families": json.loads(families.reset_index().to_json(orient="records")),
                "rows": json.loads(self.table.to_json(orient="records", double_precision=15)),
            },
            indent=1,
        )


def _networks(scores: pd.DataFrame, row: Mapping[Hashable, Any], name: str) -> pd.DataFrame:
    """Return the networks of a row's cohort: an activation in a setting, or the name of a cohort."""
    setting = [axis for axis in SETTING if row[axis] != ""]
    here = (scores[setting] == [row[axis] for axis in setting]).all(axis=1)
    return scores[here & ((scores["activation"] == name) | (named(scores)["activation"] == name))]


@dataclass(frozen=True)
class Part:
    """What is said of one architecture.

    Attributes
    ----------
    rows
        Its rows of `robustbench_act.metrics.compare_activations`.
    words
        What the images are called.
    measure
        What the shares are called.
    where
        What sentences and titles begin with if there are several architectures.
    alone
        What is said of these trained networks alone, if there is no test of trainings.
    """

    rows: pd.DataFrame
    words: HeadlineWords
    measure: str
    where: str
    alone: Sequence[str] = ()

    def sentences(self) -> list[str]:
        """Return for each of the others the mean, and under how many corruptions one is surely better."""
        said = []
        for row in self._of("mean").to_dict("records"):
            mine, other = label(row["a"]), label(row["b"])
            shares = f"{mine} has {percent(row['a_accuracy'])}% {self.measure} on {self.words.images} images"
            said.append(
                f"{self.where}{shares}, {other} {percent(row['b_accuracy'])}%: {self._difference(row)}"
            )
            said += self._corruptions(mine, other, row["b"])
        return said + [f"{self.where}{sentence}" for sentence in self.alone]

    def blocks(self) -> list[Block]:
        """Return a table for each level; its title tells which tests were corrected together."""
        return [
            Block(
                f"{self.where}{_TITLES[level].format(cells=self.words.cells)}: {self._tested(level)}",
                self._shown(level),
            )
            for level in self.rows["level"].unique()
        ]

    def _of(self, level: str) -> pd.DataFrame:
        return self.rows[self.rows["level"] == level]

    def _difference(self, row: Mapping[Hashable, Any]) -> str:
        """Say whether the mean difference is beyond chance."""
        size = f"{points(row['difference'])} points"
        if np.isnan(row["adjusted"]):
            return f"{size}; whether that is more than chance cannot be said: {row['note']}."
        sure, tests = row["adjusted"] < 1 - CONFIDENCE, len(self._of("mean"))
        chance = f"{'more' if sure else 'not more'} than chance in trainings and images would give"
        holm = f", Holm over {tests} activations" if tests > 1 else ""
        ends = f"95%: {points(row['low'])} to {points(row['high'])}"
        said = f"{size} ({ends}), {chance} ({p_text(row['adjusted'])}{holm})."
        shown = f"A true difference of {percent(row['detectable'])} points would be shown 4 times in 5."
        if row["detectable"] > 1:
            shown = "So few seeds and images show no difference 4 times in 5, however large."
        return said if sure else f"{said} {shown}"

    def _corruptions(self, mine: str, other: str, b: str) -> list[str]:
        """Say under how many corruptions one is surely better."""
        rows = self._of("corruption" if self.words == HeadlineWords() else "shift")
        own = rows[(rows["b"] == b) & rows["adjusted"].notna()]
        if own.empty:
            return []
        sure = own["adjusted"] < 1 - CONFIDENCE
        better, worse = (int((sure & (sign * own["difference"] > 0)).sum()) for sign in (1, -1))
        rest = len(own) - better - worse
        return [
            f"{self.where}Of {len(own)} {self.words.cells}, {mine} is surely better than {other} under "
            f"{better or 'none'} and surely worse under {worse or 'none'}; {rest or 'none'} "
            f"{'is' if rest == 1 else 'are'} undecided (Holm over {count(int(rows['p'].count()), 'test')})."
        ]

    def _tested(self, level: str) -> str:
        """Say what was tested."""
        tests = int(self._of(level)["p"].count())
        if tests == 0:
            return f"{self.measure} in %; no test: {', '.join(self._of(level)['note'].unique())}"
        family = "one test" if tests == 1 else f"intervals of single rows, p by Holm over these {tests} tests"
        return f"{self.measure} in %, over other trainings and images; {family}"

    def _shown(self, level: str) -> pd.DataFrame:
        """Return the table of one level."""
        rows = self._of(level)
        labels = rows["b"].map(label)
        mine, several = label(rows["a"].iloc[0]), len(rows["b"].unique()) > 1
        theirs = "theirs" if several or labels.iloc[0] == mine else labels.iloc[0]
        shown = pd.DataFrame(index=rows.index)
        if level in ("group", "corruption", "shift"):
            shown[level] = rows["name"]
        if several or shown.empty:
            shown["against"] = labels
        for name, column in (("a_accuracy", mine), ("b_accuracy", theirs)):
            shown[column] = [decimals(100 * share, 1) for share in rows[name]]
        shown["difference"] = [signed(100 * share, 1) for share in rows["difference"]]
        shown["95%"] = [interval(low, high, 1) for low, high in rows[["low", "high"]].to_numpy()]
        shown["p (Holm)" if rows["p"].count() > 1 else "p"] = rows["adjusted"].map(p_value)
        shown["P(higher)"] = [decimals(share, 2) for share in rows["superiority"]]
        possible = rows["detectable"].where(rows["detectable"] <= 1)
        shown["shown 4 in 5"] = [decimals(100 * share, 1) for share in possible]
        shown["seeds"] = rows["seeds"].map(str)
        return shown.assign(note=rows["note"]) if len(rows["note"].unique()) > 1 else shown
