"""What ships with the package, and what `actrobust evaluate` does with it."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest
import torch

from robustbench_act.checkpoints import find_checkpoints, load_checkpoint, read_spec
from robustbench_act.datasets import load_dataset
from robustbench_act.preprocessing import normalise

ASSETS = Path(str(resources.files("robustbench_act") / "assets"))
EMBEDDED = find_checkpoints([ASSETS / "checkpoints"])


def test_at_least_ten_activations_with_three_training_seeds() -> None:
    specs = [read_spec(path) for path in EMBEDDED]
    seeds = Counter(spec.activation for spec in specs)
    assert len(seeds) >= 10
    assert set(seeds.values()) == {3}
    assert {"relu", "la_silu", "la_hardsilu", "nrelu", "nswish"} <= set(seeds)
    assert len({repr(spec.recipe) for spec in specs}) == 1
    assert {spec.recipe["images"] for spec in specs} == {60_000}


def test_no_more_than_6_megabytes() -> None:
    assert sum(path.stat().st_size for path in ASSETS.rglob("*") if path.is_file()) <= 6e6


@pytest.mark.parametrize("path", EMBEDDED, ids=lambda path: path.stem)
def test_weights_are_finite_and_classify(path: Path) -> None:
    checkpoint = load_checkpoint(path)
    data = load_dataset("mnist-1k").subset(200)
    with torch.inference_mode():
        predicted = checkpoint.model(
            normalise(data.images, checkpoint.spec.mean, checkpoint.spec.std)
        ).argmax(1)
    assert checkpoint.problem is None
    assert (predicted == data.labels).double().mean() > 0.95


@pytest.mark.slow
def test_recorded_accuracy_is_that_on_the_mnist_test_set(shared: Callable[[str], Path]) -> None:
    data = load_dataset(f"mnist:{shared('data')}")
    checkpoint = load_checkpoint(ASSETS / "checkpoints" / "la_silu_1.safetensors")
    correct = 0
    with torch.inference_mode():
        for part in data.chunks(100):
            logits = checkpoint.model(normalise(part.images, checkpoint.spec.mean, checkpoint.spec.std))
            correct += int((logits.argmax(1) == part.labels).sum())
    assert checkpoint.spec.clean_accuracy == pytest.approx(
        correct / 10_000, abs=2e-4
    )  # rounding of another CPU


PEAK = """
import resource, sys
from robustbench_act import evaluate
evaluate([sys.argv[1]], dataset=sys.argv[2], suites=["light"], severities=[5], limit=int(sys.argv[3]),
         device="cpu", out=sys.argv[4])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_peak_memory_does_not_grow_with_the_number_of_images(
    shared: Callable[[str], Path], tmp_path: Path
) -> None:
    path = ASSETS / "checkpoints" / "relu_1.safetensors"

    def peak(images: int) -> int:
        arguments = [str(path), f"mnist:{shared('data')}", str(images), str(tmp_path / str(images))]
        command = [sys.executable, "-c", PEAK, *arguments]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert peak(10_000) <= 1.05 * peak(1_000)
