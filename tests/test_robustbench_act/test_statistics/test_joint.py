"""The joint analysis of seeds and images, against SciPy, an outside mixed model and sums written out."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from robustbench_act.errors import InputError
from robustbench_act.statistics.joint import ONE_IMAGE, ONE_SEED, Joint
from robustbench_act.statistics.moderation import moderate
from tests.simulations.joint import simulate, simulate_lead
from tests.simulations.networks import networks


def drawn(
    activations: int = 4, seeds: int = 3, images: int = 50, **settings: object
) -> dict[str, np.ndarray]:
    random = np.random.default_rng(5)
    scores = networks(random, activations=activations, seeds=seeds, images=images, **settings)  # type: ignore[arg-type]
    return dict(zip("abcdefghijklmnop", scores.astype(float), strict=False))


def seeds_of(values: dict[str, np.ndarray]) -> dict[str, range]:
    return {name: range(len(table)) for name, table in values.items()}


def test_two_activations_on_endless_images_are_the_paired_t_test() -> None:
    scores = np.random.default_rng(0).normal(0.8, 0.02, size=(2, 6))
    values = {name: np.repeat(own[:, None], 30, axis=1) for name, own in zip("ab", scores, strict=True)}
    found = Joint.of(values, seeds_of(values)).compare("a", "b")
    paired = stats.ttest_rel(*scores)
    interval = paired.confidence_interval()
    assert found.p == pytest.approx(paired.pvalue)
    assert found.interval == pytest.approx((interval.low, interval.high))


def test_error_is_that_of_an_outside_mixed_model() -> None:
    smf = pytest.importorskip("statsmodels.formula.api")
    values = drawn(activations=2, seeds=8, images=12)
    apart = (values["a"] - values["b"]).ravel()
    seed, image = np.divmod(np.arange(apart.size), 12)
    table = pd.DataFrame({"apart": 100 * apart, "seed": seed, "image": image})
    crossed = {name: f"0 + C({name})" for name in ("seed", "image")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its optimiser on the way
        model = smf.mixedlm("apart ~ 1", table, groups=np.ones(apart.size), vc_formula=crossed)
        fitted = model.fit(reml=True)
    found = Joint.of(values, seeds_of(values)).compare("a", "b")
    assert 100 * found.difference == pytest.approx(fitted.params["Intercept"], rel=1e-6)
    assert 100 * found.error == pytest.approx(fitted.bse["Intercept"], rel=1e-3)


@pytest.mark.parametrize("images", [2, 40])
def test_parts_of_the_error_written_out(images: int) -> None:
    values = drawn(activations=2, seeds=4, images=images)
    apart = values["a"] - values["b"]
    seeds = apart.shape[0]
    of_seeds = images * apart.mean(axis=1).var(ddof=1)
    of_images = seeds * apart.mean(axis=0).var(ddof=1)
    rest = apart - apart.mean(axis=1, keepdims=True) - apart.mean(axis=0) + apart.mean()
    of_both = (rest**2).sum() / ((seeds - 1) * (images - 1))
    whole = (max(of_seeds, of_both) + max(of_images - of_both, 0)) / (seeds * images)
    found = Joint.of(values, seeds_of(values)).compare("a", "b")
    assert found.error == pytest.approx(np.sqrt(whole))
    assert found.df == pytest.approx(seeds - 1)


def test_seeds_that_agree_by_luck_show_no_difference() -> None:
    """Each network of b misses one image of 60, a different one: the means differ by the same amount."""
    right, wrong = np.ones((2, 60)), np.ones((2, 60))
    wrong[0, 3] = wrong[1, 9] = 0
    values = {"a": right, "b": wrong}
    found = Joint.of(values, seeds_of(values)).compare("a", "b")
    images_alone = (right - wrong).mean(axis=0).std(ddof=1) / np.sqrt(60)
    assert images_alone <= found.error < 1.05 * images_alone
    assert found.p > 0.3
    assert Joint.of(values, seeds_of(values)).contrast([1, -1]).interval == pytest.approx(found.interval)
    assert Joint.of(values).compare("a", "b").error >= images_alone
    assert Joint.of(values).levels().low[1] < wrong.mean() - images_alone


def test_other_seeds_are_welchs_test() -> None:
    scores = {"a": np.array([0.81, 0.84, 0.79]), "b": np.array([0.75, 0.77, 0.76, 0.70, 0.79])}
    values = {name: np.repeat(own[:, None], 10, axis=1) for name, own in scores.items()}
    found = Joint.of(values, {"a": [0, 1, 2], "b": [5, 6, 7, 8, 9]})
    assert not found.blocked
    pair = found.compare("a", "b")
    own = found.trainings.variance / [3, 5]
    assert found.trainings.variance[1] == pytest.approx(scores["b"].var(ddof=1))
    assert found.trainings.variance[0] > scores["a"].var(ddof=1)
    assert pair.error == pytest.approx(np.sqrt(own.sum()))
    assert pair.df == pytest.approx(min(own.sum() ** 2 / (own**2 / found.trainings.df).sum(), 6))


def test_seeds_are_paired_by_number_not_by_place() -> None:
    values = drawn()
    seeds = {name: [10, 20, 30] for name in values}
    turned = {**values, "b": values["b"][[2, 0, 1]]}
    expected = Joint.of(values, seeds).compare("a", "b")
    assert Joint.of(turned, {**seeds, "b": [30, 10, 20]}).compare("a", "b") == expected
    assert Joint.of(values, {**seeds, "b": [10, 20, 40]}).compare("a", "b") != expected


@pytest.mark.parametrize("unknown", [None, float("nan")])
def test_unknown_and_repeated_seeds_are_not_paired(unknown: object) -> None:
    values = drawn()
    assert Joint.of(values, dict.fromkeys(values, (0, 1, 2))).blocked
    assert not Joint.of(values, dict.fromkeys(values, (0, 1, unknown))).blocked
    assert not Joint.of(values, dict.fromkeys(values, (0, 1, 1))).blocked


def test_one_seed_or_one_image_says_what_is_not_known() -> None:
    values = drawn()
    found = Joint.of({**values, "a": values["a"][:1]}).compare("a", "b")
    assert np.isnan([found.p, found.error, *found.interval]).all()
    assert found.note == ONE_SEED
    assert found.difference == pytest.approx(values["a"][0].mean() - values["b"].mean())
    assert not np.isnan(Joint.of({**values, "a": values["a"][:1]}).compare("b", "c").p)
    one = {name: own[:, :1] for name, own in values.items()}
    assert Joint.of(one).compare("a", "b").note == ONE_IMAGE
    assert np.isnan(Joint.of(one).levels().low).all()


def test_equal_networks_do_not_differ() -> None:
    own = np.ones((3, 20))
    found = Joint.of({"a": own, "b": own, "c": own})
    assert found.compare("a", "b").p == 1
    assert found.compare("a", "b").superiority == 0.5
    assert found.first().tolist() == pytest.approx([1 / 3] * 3)
    worse = Joint.of({"a": own, "b": 0 * own}).compare("a", "b")
    assert (worse.p, worse.difference) == (0, 1)


def test_superiority_counts_pairs_of_networks() -> None:
    scores = {"a": [0.9, 0.5, 0.7], "b": [0.6, 0.7]}
    values = {name: np.repeat(np.array(own)[:, None], 4, axis=1) for name, own in scores.items()}
    assert Joint.of(values).compare("a", "b").superiority == pytest.approx((2 + 0 + 1.5) / 6)


def test_first_is_the_share_of_wins_of_two_normal_means() -> None:
    values = drawn(activations=2, seeds=30, images=2000)
    found = Joint.of(values, seeds_of(values))
    pair = found.compare("a", "b")
    expected = stats.t.cdf(pair.difference / pair.error, pair.df)
    assert found.first()[0] == pytest.approx(expected, abs=0.02)


def test_a_contrast_of_two_is_their_difference() -> None:
    found = Joint.of(values := drawn(seeds=4), seeds_of(values))
    pair, (value, interval, p) = found.compare("b", "d"), found.contrast([0, 1, 0, -1])
    assert (value, p, *interval) == pytest.approx((pair.difference, pair.p, *pair.interval))


def test_the_mean_of_differences_is_that_of_mean_scores() -> None:
    """Two activations against two: their four variances over trainings, a quarter of each, and the images."""
    values = drawn(seeds=6, images=3000)
    joint = Joint.of(values, seeds_of(values))
    found = joint.contrast([0.5, 0.5, -0.5, -0.5])
    scores = [own.mean(axis=1) for own in values.values()]
    apart = (scores[0] + scores[1] - scores[2] - scores[3]) / 2
    assert found.value == pytest.approx(apart.mean())
    each = [(own[0] + own[1] - own[2] - own[3]) / 2 for own in np.swapaxes(list(values.values()), 0, 1)]
    rest = np.array(each) - np.mean(each, axis=1, keepdims=True) - np.mean(each, axis=0) + np.mean(each)
    images = np.mean(each, axis=0).var(ddof=1) - (rest**2).sum() / (5 * 2999) / 6
    parts = joint.trainings.variance / 4 / 6
    df = min(parts.sum() ** 2 / (parts**2 / joint.trainings.df).sum(), joint.trainings.most)
    half = stats.t.ppf(0.975, df) * np.sqrt(parts.sum() + images / 3000)
    assert found.interval == pytest.approx((found.value - half, found.value + half))
    assert np.isnan(Joint.of({**values, "a": values["a"][:1]}).contrast([0.5, 0.5, -0.5, -0.5]).p)
    assert not np.isnan(Joint.of({**values, "a": values["a"][:1]}).contrast([0, 1, -0.5, -0.5]).p)


def test_ranks_leave_out_what_is_surely_better_or_worse() -> None:
    values = drawn(activations=4, seeds=5, images=400, leads=[0.0, 0.5, -0.5, 0.0])
    low, high = Joint.of(values, seeds_of(values)).ranks()
    assert low.tolist() == [2, 1, 4, 2]
    assert high.tolist() == [3, 1, 4, 3]
    one = Joint.of({**values, "a": values["a"][:1]})
    assert np.isnan([*one.ranks().low, *one.first()]).all()


def test_order_of_activations_does_not_matter() -> None:
    values = drawn()
    turned = dict(reversed(values.items()))
    one, other = (Joint.of(own, seeds_of(own)) for own in (values, turned))
    assert one.compare("a", "c").p == pytest.approx(other.compare("a", "c").p, rel=1e-9)
    assert one.levels().low == pytest.approx(other.levels().low[::-1], rel=1e-9)


def test_moderation_finds_the_prior_that_variances_were_drawn_from() -> None:
    random = np.random.default_rng(0)
    truth = 0.3 * 6 / random.chisquare(6, size=20_000)
    own = truth * random.chisquare(4, size=truth.size) / 4
    found = moderate(own, np.full(own.size, 4.0), np.inf)
    raised = (6 * 0.3 + 4 * own) / 10
    assert found.df == pytest.approx(10, rel=0.05)
    assert found.variance == pytest.approx(np.maximum(raised, own), rel=0.05)


def test_one_group_lends_itself_nothing() -> None:
    found = moderate(np.array([0.2, np.nan]), np.array([3.0, 0.0]), 3.0)
    assert found.variance[0] == pytest.approx(0.2)
    assert found.df[0] == 3
    assert np.isnan(found.variance[1])


@pytest.mark.parametrize(
    "values", [{}, {"a": np.ones(3)}, {"a": np.ones((3, 0))}, {"a": np.ones((3, 4)), "b": np.ones((3, 5))}]
)
def test_shapes_that_do_not_fit(values: dict[str, np.ndarray]) -> None:
    with pytest.raises(InputError, match=r"Expected \(seeds, images\)"):
        Joint.of(values)


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "wide"), [(3, False), (3, True), (5, True)])
def test_conclusions_hold_when_the_truth_is_known(seeds: int, wide: bool) -> None:
    found = simulate(seeds=seeds, images=60, wide=wide)
    assert found.family_limit < (0.10 if wide else 0.08)
    assert found.levels > 0.93
    assert 0.93 < found.others < 0.98
    low, high = ({3: 0.88, 5: 0.91}[seeds], 1.0) if wide else (0.93, 0.97)
    assert low < found.odd < high


@pytest.mark.slow
def test_a_lead_that_is_said_to_be_shown_is() -> None:
    _, shown = simulate_lead(seeds=3, images=60)
    assert 0.75 < shown < 0.85
