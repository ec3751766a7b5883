"""What a plan will take, before it is run."""

from pathlib import Path

from robustbench_act.checkpoints import load_checkpoint
from robustbench_act.evaluation import make_plan, memory_needed


def test_memory_is_that_of_a_chunk_of_weights_and_of_the_largest_layer(checkpoints: Path) -> None:
    """By hand: 40 images of 8 x 8, clean and at two severities; 16,160 weights of 4 bytes."""
    checkpoint = load_checkpoint(checkpoints / "relu_1.safetensors")
    plan = make_plan([checkpoint], dataset="digits", suites=["light"], severities=[1, 2], limit=40)
    inputs = 40 * 64 * ((3 + 3) * 4 + 1)
    state = checkpoint.model.state_dict().values()
    weights = sum(tensor.numel() * tensor.element_size() for tensor in state)
    largest = 2 * 4 * 4 * 64  # 4 channels of float32 into a layer of the first stage, and out of it
    assert memory_needed(plan, batch_size=128) == inputs + weights + largest * 120
