"""What networks are shown: corruptions act on pixels, shifts on the normalised input."""

import torch

from corruptions import Cell
from robustbench_act.evaluation.inputs import corrupt
from robustbench_act.preprocessing import normalise

IMAGES = torch.randint(256, (3, 1, 17, 11), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
PREPROCESSING = ((0.3,), (0.5,))
CLEAN = normalise(IMAGES, *PREPROCESSING)
IDS = torch.arange(3)


def test_a_corruption_acts_on_the_pixels() -> None:
    cell = Cell("gaussian_noise", 3)
    corrupted, inputs = corrupt(cell, IMAGES, CLEAN, ids=IDS, seed=7, preprocessing=PREPROCESSING)
    assert corrupted.dtype == torch.uint8
    assert torch.equal(corrupted, cell.apply(IMAGES, ids=IDS, seed=7))
    assert torch.equal(inputs, normalise(corrupted, *PREPROCESSING))
    assert not torch.equal(inputs, CLEAN)


def test_a_shift_acts_on_the_normalised_input() -> None:
    shifted, inputs = corrupt(
        Cell("shift_up", 3), IMAGES, CLEAN, ids=IDS, seed=7, preprocessing=PREPROCESSING
    )
    assert torch.allclose(inputs, CLEAN + 0.2)  # severity 3: 0.2, in units of the input
    assert torch.equal(shifted, inputs)
