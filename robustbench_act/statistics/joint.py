"""Activations compared over training seeds and images at once: other trainings, other images, one interval.

The model of the score of one image in one trained network: activation + seed + image + their interactions.
Activations are fixed, seeds and images are drawn. The mean of an activation is then uncertain twice:

    Var(mean) = variance over trainings / seeds + variance over images / images,

with the residual, which is in both, counted once (analysis of variance of crossed random effects; see Owen &
Eckles 2012 for the same sum in the bootstrap). The first part decides, and few seeds hardly show it. So the
activations lend each other strength: their variances over trainings are moderated (Smyth 2004), and where
one's own is larger, it counts. It holds the residual's part, which the images show well, and is never less:
a few seeds may agree by luck. Degrees of freedom are those of this part alone, Satterthwaite's (1946) for a
pair. With two activations and very many images this is the paired t-test over seeds.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from robustbench_act.errors import InputError
from robustbench_act.statistics.intervals import CONFIDENCE, Floats, Interval
from robustbench_act.statistics.moderation import Moderated, Places, moderate, moderate_blocked
from robustbench_act.statistics.paired import holm
from robustbench_act.statistics.rounding import ROUNDING, deviation

POWER = 0.8
"""A difference counts as one that could have been shown if it is found with this probability."""


class JointContrast(NamedTuple):
    """A weighted sum of means: its 95 % interval over other trainings and images, and the p-value of 0."""

    value: float
    interval: Interval
    p: float


ONE_SEED = "one training seed: what another training would give is not known"
ONE_IMAGE = "one image: what other images would show is not known"

_DRAWS = 10_000


@dataclass(frozen=True)
class JointComparison:
    """What the joint analysis says of A against B.

    Attributes
    ----------
    difference, interval
        Mean of A - B, and its 95 % interval over other trainings and other images; NaN without a test.
    p
        Two-sided p-value of "no difference"; NaN where there is no test.
    error, df
        Standard error of the difference, and its degrees of freedom.
    superiority
        P(A > B): the share of pairs of networks, one of each, in which A's is better; ties count half.
    seeds
        Networks of A and of B.
    note
        Why there is no test; "" where there is one.
    """

    difference: float
    interval: Interval
    p: float
    error: float
    df: float
    superiority: float
    seeds: tuple[int, int]
    note: str = ""

    def detectable(self, tests: int = 1) -> float:
        """Return the true difference that these seeds and images show 4 times in 5, as one of `tests`.

        At Bonferroni's level, the first step of Holm's correction; NaN where there is no test.
        """
        level = (1 - CONFIDENCE) / max(tests, 1)
        return float((stdtrit(self.df, 1 - level / 2) + stdtrit(self.df, POWER)) * self.error)


@dataclass(frozen=True, eq=False)
class Joint:
    """The joint analysis of activations, each trained with several seeds and tested on the same images.

    `Joint.of` makes it.

    Attributes
    ----------
    names
        Of the activations.
    images
        Number of images.
    scores
        For each activation (seeds,): the mean over the images of each network.
    blocked
        Whether all were trained with the same seeds, which stand in the same order.
    over_images, residual
        (activations, activations): covariances, over images, of the means without the residual, divided by
        the images; of the residual, seed x image, of one network.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> def networks(mean):
    ...     return mean + 0.02 * random.normal(size=(5, 1)) + 0.1 * random.normal(size=(5, 400))
    >>> found = Joint.of({"relu": networks(0.8), "silu": networks(0.6), "gelu": networks(0.8)})
    >>> pair = found.compare("relu", "silu")
    >>> pair.interval.low > 0.1, pair.p < 0.001, found.compare("relu", "gelu").p > 0.05
    (True, True, True)
    """

    names: tuple[str, ...]
    images: int
    scores: Sequence[Floats]
    blocked: bool
    over_images: Floats
    residual: Floats

    @classmethod
    def of(cls, values: Mapping[str, ArrayLike], seeds: Mapping[str, Sequence[Any]] | None = None) -> Self:
        """Return the analysis of networks.

        Raises InputError if there is no activation, seed or image, or not the same number of images.

        Parameters
        ----------
        values
            For each activation (seeds, images): the share of its cells in which an image is right.
        seeds
            For each activation its training seeds, in the order of the rows. If all have the same ones, what
            a seed does to all activations alike cancels; else every network counts as trained by itself.
        """
        tables = [np.asarray(table, dtype=float) for table in values.values()]
        shapes = [table.shape for table in tables]
        if not shapes or any(len(shape) != 2 or 0 in shape or shape[1] != shapes[0][1] for shape in shapes):
            found = ", ".join(map(str, shapes)) or "no activation"
            raise InputError(f"Expected (seeds, images) of each activation, images alike, got {found}.")
        numbers = None if seeds is None else [list(seeds[name]) for name in values]
        blocked = numbers is not None and _same_seeds(numbers)
        if numbers is not None and blocked:
            rows = [[own.index(seed) for seed in numbers[0]] for own in numbers]
            tables = [table[order] for table, order in zip(tables, rows, strict=True)]
        scores = [table.mean(axis=1) for table in tables]
        return cls(tuple(values), shapes[0][1], scores, blocked, *_image_covariances(tables, blocked=blocked))

    @cached_property
    def seeds(self) -> NDArray[np.int64]:
        """(activations,): networks of each."""
        return np.array([len(own) for own in self.scores])

    @cached_property
    def means(self) -> Floats:
        """(activations,): the mean over networks and images."""
        return np.array([own.mean() for own in self.scores])

    @property
    def tested(self) -> NDArray[np.bool_]:
        """(activations,): whether there are seeds and images enough for an interval."""
        return np.asarray((self.seeds > 1) & (self.images > 1))

    @cached_property
    def trainings(self) -> Moderated:
        """The variances over trainings; if blocked, without what a seed does to all activations alike."""
        degrees = (self.seeds - 1).astype(float)
        if not self.blocked:
            return moderate(self._apart, degrees, float(degrees.sum()))
        return moderate_blocked(self._apart, degrees)

    @cached_property
    def pooled(self) -> float:
        """The variance over trainings if all activations had the same; NaN if all have one seed."""
        count, degrees = len(self.names), self.seeds - 1
        if self.blocked:
            return float(self._apart.sum()) / (count - 1)
        known = degrees > 0
        return float((degrees * self._apart)[known].sum() / degrees.sum()) if known.any() else math.nan

    @cached_property
    def _apart(self) -> Floats:
        """(activations,): variances of the scores, of blocked seeds of what is apart from the seed's mean."""
        common = np.mean(self.scores, axis=0) if self.blocked else 0.0
        return np.array([_variance(scores - common) for scores in self.scores])

    def compare(self, a: str, b: str) -> JointComparison:
        """Return A against B; with a note instead of a test if one of them has one seed."""
        one, other = self.names.index(a), self.names.index(b)
        x, y = self.scores[one], self.scores[other]
        (difference,), (error,), (df,), (p,) = (
            found.tolist() for found in self.differences(np.array([one]), np.array([other]))
        )
        half = float(stdtrit(df, (1 + CONFIDENCE) / 2)) * error
        note = "" if self.tested[[one, other]].all() else ONE_IMAGE if self.images < 2 else ONE_SEED
        interval = Interval(difference - half, difference + half)
        return JointComparison(difference, interval, p, error, df, _superiority(x, y), (len(x), len(y)), note)

    def differences(self, a: Places, b: Places) -> tuple[Floats, Floats, Floats, Floats]:
        """Return differences a - b, their standard errors, degrees of freedom and p-values.

        a and b are places (pairs,) of activations. NaN, except the difference, if one of a pair has one seed.
        """
        difference = self.means[a] - self.means[b]
        difference[np.abs(difference) <= ROUNDING] = 0.0
        error, df = self.errors(a, b)
        return difference, error, df, _p_value(difference, error, df)

    def contrast(self, weights: ArrayLike) -> JointContrast:
        """Return a weighted sum of the means, such as a mean of differences.

        `weights` (activations,) sum to 0. NaN, except the sum, if one that has a weight has one seed.
        """
        w = np.asarray(weights, dtype=float)
        used = w != 0
        value = float(w @ self.means)
        if not self.tested[used].all():
            return JointContrast(value, Interval(math.nan, math.nan), math.nan)
        parts = w[used] ** 2 * self.trainings.variance[used] / self.seeds[used]
        over_seeds, df = self.trainings.total(parts, self.trainings.df[used], axis=0)
        over_seeds = np.maximum(over_seeds, w @ self._residual_of_means @ w)
        error = np.sqrt(over_seeds + max(float(w @ self.over_images @ w), 0.0))
        value = 0.0 if abs(value) <= ROUNDING else value
        half = float(stdtrit(df, (1 + CONFIDENCE) / 2) * error)
        p = float(_p_value(np.array(value), error, df))
        return JointContrast(value, Interval(value - half, value + half), p)

    def ranks(self) -> Interval:
        """Return intervals (activations,) of the ranks, 1 is the largest mean, that hold together at 95 %.

        An activation is behind those that are surely larger, and before those that are surely smaller: all
        pairs are compared, with Holm's correction. NaN if an activation has one seed.
        """
        if not self.tested.all():
            return Interval(*np.full((2, len(self.names)), np.nan))
        count = len(self.names)
        a, b = np.triu_indices(count, 1)
        difference, _, _, p = self.differences(a, b)
        sure = holm(p) < 1 - CONFIDENCE
        larger, smaller = (np.where(difference > 0, *ends)[sure] for ends in ((a, b), (b, a)))
        before, behind = (np.bincount(ends, minlength=count) for ends in (smaller, larger))
        return Interval(1.0 + before, count - behind * 1.0)

    def errors(self, a: Places, b: Places) -> tuple[Floats, Floats]:
        """Return standard errors of differences and their degrees of freedom; NaN if there is no test."""
        over_seeds, df = self.trainings.of_pairs(a, b, self.seeds)
        over_images, least = (
            covariance[a, a] + covariance[b, b] - 2 * covariance[a, b]
            for covariance in (self.over_images, self._residual_of_means)
        )
        df = np.where(self.tested[a] & self.tested[b], df, np.nan)
        return np.sqrt(np.maximum(over_seeds, least) + np.maximum(over_images, 0)), df

    @property
    def _residual_of_means(self) -> Floats:
        """(activations, activations): the part of the residual in the covariances of the means."""
        return self.residual / self.seeds / self.images

    @property
    def _over_seeds(self) -> Floats:
        """(activations,): the variances of the means over trainings, at least the residual's part."""
        return np.maximum(self.trainings.variance / self.seeds, np.diag(self._residual_of_means))

    def levels(self) -> Interval:
        """Return intervals (activations,) of the means that hold together at 95 %: Bonferroni over them.

        They are for levels: images that are hard for one activation are hard for all, so two intervals may
        overlap although the difference is sure. NaN for one seed.
        """
        alone, common = self._over_seeds, np.zeros(1)
        if self.blocked:  # what a seed does to all alike moves all means together
            common = np.array([_variance(np.mean(self.scores, axis=0))])
            alone = alone * (1 - 1 / len(self.names))
        over_images = np.maximum(np.diag(self.over_images), 0)
        share = 1 - (1 - CONFIDENCE) / (2 * max(int(self.tested.sum()), 1))
        with np.errstate(invalid="ignore"):
            factor = stdtrit(self.trainings.df, share)
            shared = np.maximum(factor, stdtrit(self.seeds - 1.0, (1 + CONFIDENCE) / 2))
            own = factor * np.sqrt(alone + over_images)
            half = np.hypot(own, shared * np.sqrt(common / self.seeds))
        half = np.where(self.tested, half, np.nan)
        return Interval(self.means - half, self.means + half)

    def first(self, *, seed: int = 0) -> Floats:
        """Return (activations,): the probability that each has the largest mean, over other seeds and images.

        The share of 10,000 draws of all means from the model; ties share. All NaN if one has one seed.
        """
        if not self.tested.all():
            return np.full(len(self.names), np.nan)
        random, shape = np.random.default_rng(seed), (_DRAWS, len(self.names))
        spread, df = np.sqrt(self._over_seeds), self.trainings.df
        over_seeds = spread * random.standard_normal(shape) / np.sqrt(random.chisquare(df, shape) / df)
        values, vectors = np.linalg.eigh(self.over_images)
        over_images = random.standard_normal(shape) @ (vectors * np.sqrt(np.maximum(values, 0))).T
        drawn = self.means + over_seeds + over_images
        best = drawn == drawn.max(axis=1, keepdims=True)
        return np.asarray((best / best.sum(axis=1, keepdims=True)).mean(axis=0))


def _p_value(difference: Floats, error: Floats, df: Floats) -> Floats:
    """Return the two-sided p-values of "no difference"; 1 if both are 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        t = np.where((difference == 0) & (error == 0), 0.0, -np.abs(difference) / error)
    return np.asarray(2 * stdtr(df, t))


def _image_covariances(tables: Sequence[Floats], *, blocked: bool) -> tuple[Floats, Floats]:
    """Return (activations, activations), twice: of the means over images, without the residual; the residual.

    The residual is seed x image: it is in the variance over trainings too.
    """
    count, images = len(tables), tables[0].shape[1]
    if images < 2:
        return np.full((count, count), np.nan), np.full((count, count), np.nan)
    whole = _covariance([table.mean(axis=0) for table in tables])
    residual, seeds = np.zeros_like(whole), np.array([len(table) for table in tables])
    if blocked:
        each = sum(_covariance([table[place] for table in tables]) for place in range(seeds[0]))
        residual = (each - seeds[0] * whole) / (seeds[0] - 1)
    else:
        for place in np.flatnonzero(seeds > 1).tolist():
            each = tables[place].var(axis=1, ddof=1).sum()
            residual[place, place] = (each - seeds[place] * whole[place, place]) / (seeds[place] - 1)
    return (whole - residual / seeds) / images, residual


def _covariance(rows: Sequence[Floats]) -> Floats:
    return np.atleast_2d(np.cov(np.array(rows)))


def _variance(values: Floats) -> float:
    """Return the variance (divisor n - 1); exactly 0 if shares are equal but for rounding, NaN for one."""
    return deviation(values, size=1.0) ** 2 if len(values) > 1 else math.nan


def _superiority(x: Floats, y: Floats) -> float:
    apart = np.subtract.outer(x, y)
    apart[np.abs(apart) <= ROUNDING] = 0
    return float((np.sign(apart) + 1).mean() / 2)


def _same_seeds(numbers: Sequence[list[Any]]) -> bool:
    """Tell whether several activations have the same seeds: known, two or more, each once."""
    first = set(numbers[0])
    known = not any(seed is None or (isinstance(seed, float) and math.isnan(seed)) for seed in first)
    several = known and len(numbers) > 1 and len(first) > 1
    return several and all(len(own) == len(first) and set(own) == first for own in numbers)
