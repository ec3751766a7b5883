"""How often the gate would alarm if nothing had changed: a run's own trainings, split into two halves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from robustbench_act.english import count
from robustbench_act.errors import InputError
from robustbench_act.gate.check import decided
from robustbench_act.gate.proposals import settled
from robustbench_act.gate.rules import TRAINING_LEVEL
from robustbench_act.gate.scores import scores, tables
from robustbench_act.gate.training import training_lines
from robustbench_act.gate.units import members
from robustbench_act.records import RunData

FEWEST = 6
"""Training seeds: two halves of three."""
_SPLITS = 200

Halves = tuple[list[int], list[int]]


@dataclass(frozen=True)
class SelfTest:
    """What the self-test found.

    Attributes
    ----------
    checks, alarms
        Splits, and those in which a line fell.
    activations, seeds
        Of the run; seeds in each half.
    level
        The share of alarms that a check allows itself.
    """

    checks: int
    alarms: int
    activations: int
    seeds: int
    level: float

    @property
    def sentence(self) -> str:
        """One line: how often equal recipes would have failed."""
        return (
            f"One half of the seeds against the other: {self.alarms} of {count(self.checks, 'check')} "
            f"({self.alarms / self.checks:.1%}) raised a false alarm; allowed: {self.level:.1%}. "
            f"{count(self.activations, 'activation')}, {count(self.seeds, 'seed')} in each half."
        )


def self_test(run: RunData, *, seed: int = 0) -> SelfTest:
    """Split a run's training seeds into two halves, many times, and check one against the other.

    If all activations have the same training seeds, they are split alike. The splits share networks: so many
    separate checks would tell the share of alarms more surely.

    Raises InputError if a checkpoint failed or an activation has fewer than 6 networks.
    """
    failed = run.cells.loc[run.cells["error"].notna(), "checkpoint"]
    if len(failed):
        raise InputError(f"{run.path}: checkpoint {failed.iloc[0]!r} failed; a self-test needs all.")
    seeds = {entry.name: str(entry.training_seed) for entry in run.info.checkpoints}
    groups = {name: sorted(own, key=seeds.__getitem__) for name, own in members(run.info, "training").items()}
    for name, own in groups.items():
        if len(own) < FEWEST:
            raise InputError(
                f"{run.path}: expected {FEWEST} training seeds or more of each activation, which a self-test "
                f"splits, got {len(own)} of {name}."
            )
    single, rules = scores(run.cells), settled(run, "training", None, None)
    networks = {name: [single[one] for one in own] for name, own in groups.items()}
    found = {rule: tables(networks, rule) for rule in rules.rules}
    alike = len({tuple(seeds[one] for one in own) for own in groups.values()}) == 1
    half, alarms, checks = min(map(len, groups.values())) // 2, 0, 0
    for places in _splits([len(own) for own in groups.values()], half, alike, np.random.default_rng(seed)):
        lines = []
        for rule, whole in found.items():
            sides = [
                {name: table[own[side]] for (name, table), own in zip(whole.items(), places, strict=True)}
                for side in (0, 1)
            ]
            lines += training_lines("baseline", rule, *sides)
        alarms += bool((decided(lines, TRAINING_LEVEL)["verdict"] == "fell").any())
        checks += 1
    return SelfTest(checks, alarms, len(groups), half, TRAINING_LEVEL)


def _splits(
    counts: Sequence[int], half: int, alike: bool, random: np.random.Generator
) -> Iterator[list[Halves]]:
    """Yield for each activation the places of its networks in both halves: all splits, or 200 of them."""
    if alike and comb(counts[0], half) * comb(counts[0] - half, half) <= _SPLITS:
        for first in combinations(range(counts[0]), half):
            rest = [place for place in range(counts[0]) if place not in first]
            for second in combinations(rest, half):
                yield [(list(first), list(second))] * len(counts)
        return
    for _ in range(_SPLITS):
        orders = [random.permutation(count).tolist() for count in (counts[:1] if alike else counts)]
        halves = [(order[:half], order[half : 2 * half]) for order in orders]
        yield halves * len(counts) if alike else halves
