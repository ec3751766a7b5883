"""What networks are shown: corruptions act on pixels, shifts on the normalised input."""

import hashlib
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import corruptions
from corruptions import Cell
from robustbench_act.checkpoints import load_checkpoint
from robustbench_act.datasets import load_dataset
from robustbench_act.evaluation import evaluate
from robustbench_act.evaluation.inputs import corrupt
from robustbench_act.preprocessing import Preprocessing, normalise

IMAGES = torch.randint(256, (3, 1, 17, 11), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
PREPROCESSING = Preprocessing((0.3,), (0.5,))
CLEAN = normalise(IMAGES, (0.3,), (0.5,))
IDS = torch.arange(3)


def test_a_corruption_acts_on_the_pixels() -> None:
    cell = Cell("gaussian_noise", 3)
    corrupted, inputs = corrupt(cell, IMAGES, CLEAN, ids=IDS, seed=7, preprocessing=PREPROCESSING)
    assert corrupted.dtype == torch.uint8
    assert torch.equal(corrupted, cell.apply(IMAGES, ids=IDS, seed=7))
    assert torch.equal(inputs, normalise(corrupted, (0.3,), (0.5,)))
    assert not torch.equal(inputs, CLEAN)


def test_a_shift_acts_on_the_normalised_input() -> None:
    shifted, inputs = corrupt(
        Cell("shift_up", 3), IMAGES, CLEAN, ids=IDS, seed=7, preprocessing=PREPROCESSING
    )
    assert torch.allclose(inputs, CLEAN + 0.2)  # severity 3: 0.2, in units of the input
    assert torch.equal(shifted, inputs)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_the_seed_of_a_run_chooses_its_shifts(checkpoints: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(checkpoints / "relu_1.safetensors")
    data = load_dataset("digits").subset(20)
    clean = normalise(data.images, checkpoint.spec.mean, checkpoint.spec.std)
    losses = []
    for seed in (0, 5):
        run = evaluate(
            [checkpoint],
            dataset=data,
            suites=["shift"],
            severities=[4],
            seed=seed,
            probes=False,
            device="cpu",
            out=tmp_path / str(seed),
        )
        cells = run.cells.set_index("corruption")
        for name in ("shift_channel", "shift_gaussian", "shift_laplace", "shift_uniform"):
            inputs = corruptions.corrupt(clean, name, severity=4, seed=seed, ids=data.ids)
            assert cells["pixels"][name] == sha256(sha256(inputs.numpy().tobytes()).encode())  # of one chunk
            with torch.inference_mode():
                loss = F.cross_entropy(checkpoint.model(inputs), data.known_labels)
            assert cells["loss"][name] == pytest.approx(float(loss), rel=1e-5)
            losses.append(cells["loss"][name])
    assert len(set(losses)) == 8
