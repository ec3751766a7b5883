"""How many seeds and images show a lead: against studies analysed one by one."""

import numpy as np
import pytest
from scipy.special import stdtrit

from robustbench_act.errors import InputError
from robustbench_act.statistics.joint import Joint
from robustbench_act.statistics.joint_power import Components, Studies, components, lead_shown, shown_leads
from robustbench_act.statistics.moderation import moderate

PARTS = Components(0.02, 0.03, 0.05)


@pytest.mark.parametrize(
    ("found", "seeds"), [(PARTS, 3), (Components(0.0, 0.03, 0.0), 4)], ids=["usual", "trainings alike"]
)
def test_studies_are_those_that_joint_analyses(found: Components, seeds: int) -> None:
    """The same random numbers, study by study, through the analysis that a run gets."""
    activations, images, pairs = 4, 50, [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    random, leads = np.random.default_rng(0), []
    spread = np.sqrt(found.training**2 + found.residual**2 / images)
    over_images = np.eye(activations) * found.image**2 / images
    residual = np.eye(activations) * found.residual**2
    a, b = np.array(pairs).T
    for _ in range(1000):
        scores = spread * random.standard_normal((activations, seeds))
        joint = Joint(tuple("abcd"), images, list(scores), True, over_images, residual)
        error, df = joint.errors(a, b)
        means = scores.mean(axis=1) + found.image / np.sqrt(images) * random.standard_normal(activations)
        leads.append(stdtrit(df, 1 - 0.05 / 6 / 2) * error - (means[a] - means[b]))
    expected = np.sort(np.ravel(leads))
    assert shown_leads(found, seeds=seeds, images=images, activations=activations) == pytest.approx(expected)


def test_many_experiments_are_moderated_as_each_alone() -> None:
    random = np.random.default_rng(1)
    own, df = random.chisquare(2, size=(20, 5)) / 2, np.array([2.0, 0.0, 2.0, 4.0, 1.0])
    own[3] = 0
    own[4] = 0.5
    own[:, 1] = np.nan
    together = moderate(own, df, 9.0)
    for place, one in enumerate(own):
        alone = moderate(one, df, 9.0)
        assert together.variance[place].tolist() == pytest.approx(alone.variance.tolist(), nan_ok=True)
        assert together.df[place].tolist() == pytest.approx(alone.df.tolist(), nan_ok=True)


def test_more_of_anything_shows_smaller_leads() -> None:
    def lead(seeds: int, images: int, activations: int = 3) -> float:
        return lead_shown(shown_leads(PARTS, seeds=seeds, images=images, activations=activations))

    assert lead(20, 1000) < lead(5, 1000) < lead(5, 50) < lead(5, 50, activations=13)


def test_many_activations_are_a_sample_of_their_pairs() -> None:
    studies = Studies.of(seeds=2, activations=40)
    assert studies.apart.shape == (1000, 98)


def test_components_are_those_that_scores_were_drawn_with() -> None:
    random = np.random.default_rng(2)
    trained = random.normal(scale=PARTS.training, size=(8, 40, 1))
    hard = random.normal(scale=PARTS.image, size=(8, 1, 1500))
    scores = trained + hard + random.normal(scale=PARTS.residual, size=(8, 40, 1500))
    names = "abcdefgh"
    found = components(Joint.of(dict(zip(names, scores, strict=True)), dict.fromkeys(names, range(40))))
    assert found.training == pytest.approx(PARTS.training, rel=0.12)
    assert found.image == pytest.approx(PARTS.image, rel=0.05)
    assert found.residual == pytest.approx(PARTS.residual, rel=0.01)


@pytest.mark.parametrize(("seeds", "images", "activations"), [(1, 60, 2), (3, 1, 2), (3, 60, 1)])
def test_too_few_of_anything(seeds: int, images: int, activations: int) -> None:
    with pytest.raises(InputError, match=r"Expected at least 2 .*, got .*1"):
        shown_leads(PARTS, seeds=seeds, images=images, activations=activations)
