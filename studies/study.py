"""A study: its settings, and where its parts are."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd

from corruptions.toml_files import read_toml
from robustbench_act.errors import InputError

HERE = Path(__file__).parent
STUDIES = tuple(sorted(path.parent.name for path in HERE.glob("*/study.toml")))


@dataclass(frozen=True)
class Study:
    """The settings of a study.

    Attributes
    ----------
    home
        Folder of its settings, of the archives of its networks, and of its results.
    work
        Folder of what can be made again: networks, runs.
    data
        Data set as `load_dataset` takes it, as "mnist:ROOT".
    activations
        In the order in which they are trained.
    seeds
        Training seeds.
    train, pilot, evaluate, probe, analysis
        The tables of study.toml: settings of each stage.
    """

    home: Path
    work: Path
    data: str
    activations: tuple[str, ...]
    seeds: tuple[int, ...]
    train: Mapping[str, Any]
    pilot: Mapping[str, Any]
    evaluate: Mapping[str, Any]
    probe: Mapping[str, Any]
    analysis: Mapping[str, Any]

    @classmethod
    def read(cls, home: Path, root: str | None, work: Path) -> Self:
        """Return the study in a folder, with its data in `root`, if they are not part of a package."""
        given = read_toml(home / "study.toml", what="a study")
        return cls(
            home=home,
            work=work,
            data=f"{given['dataset']}:{root}" if root else given["dataset"],
            activations=tuple(given["activations"]),
            seeds=tuple(range(1, given["seeds"] + 1)),
            **{name: given[name] for name in ("train", "pilot", "evaluate", "probe", "analysis")},
        )

    @property
    def results(self) -> Path:
        """Folder of the tables that the analysis reads."""
        return self.home / "results"

    @property
    def networks(self) -> Path:
        """Folder that networks are trained into."""
        return self.work / "networks"

    @property
    def unpacked(self) -> Path:
        """Folder of the networks in the archives, and of no others."""
        return self.work / "unpacked"

    def archive(self, activation: str) -> Path:
        """Return the archive of the networks of an activation."""
        return self.home / "networks" / f"{activation}.zip"

    def rates(self) -> dict[str, float]:
        """Return the learning rate of each activation, from the pilot: see `choose_rates`.

        Raises InputError if there is no pilot, or it has no rate for an activation of the study.
        """
        path = self.results / "pilot.csv"
        if not path.exists():
            raise InputError(f"{path}: no such file; run the stage pilot first.")
        rates = choose_rates(pd.read_csv(path))
        if lacking := [name for name in self.activations if name not in rates]:
            raise InputError(f"{path}: no learning rate for {lacking[0]}, as none trained all its networks.")
        return rates


def choose_rates(pilot: pd.DataFrame) -> dict[str, float]:
    """Return the learning rate with which each activation did best; of equal ones the smaller.

    A rate with which a network diverged, so that its row is missing, is not taken.

    >>> table = {"activation": "relu", "seed": 1, "lr": [1.0, 0.3, 0.1]}
    >>> table["validation_accuracy"] = [0.8, 0.9, 0.9]
    >>> choose_rates(pd.DataFrame(table))
    {'relu': 0.1}
    """
    accuracies = pilot.groupby(["activation", "lr"], sort=True)["validation_accuracy"]
    means = accuracies.mean().round(9)[accuracies.size() == pilot["seed"].nunique()]
    best = means.groupby("activation", sort=False).idxmax()  # the first of equal ones
    return dict(best.tolist())
