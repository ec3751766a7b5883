"""The input shifts against their definitions."""

import pytest
import torch

import corruptions
from corruptions import get_corruption

SCALES = {1: 0.05, 3: 0.2, 5: 0.8}
GAINS = {1: 0.1, 3: 0.4, 5: 0.8}


def shift(inputs: torch.Tensor, name: str, severity: float) -> torch.Tensor:
    return corruptions.corrupt(inputs, f"shift_{name}", severity=severity)


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_constant_shifts_and_gains(severity: int) -> None:
    inputs = torch.randn(3, 5, 6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 10
    scale, gain = SCALES[severity], GAINS[severity]
    for name, expected in (
        ("up", inputs + scale),
        ("down", inputs - scale),
        ("gain_up", inputs * (1 + gain)),
        ("gain_down", inputs * (1 - gain)),
    ):
        torch.testing.assert_close(shift(inputs, name, severity), expected)


@pytest.mark.parametrize("severity", [1, 3, 5])
@pytest.mark.parametrize(("name", "kurtosis"), [("gaussian", 3.0), ("uniform", 1.8), ("laplace", 6.0)])
def test_noise_has_its_standard_deviation_and_shape(name: str, kurtosis: float, severity: int) -> None:
    inputs = torch.full((200, 3, 40, 40), -4.0, dtype=torch.float64)
    noise = (shift(inputs, name, severity) - inputs) / SCALES[severity]
    count = noise.numel()
    assert abs(noise.mean()) < 4 / count**0.5
    assert abs(noise.var() - 1) < 4 * ((kurtosis - 1) / count) ** 0.5
    assert abs((noise**4).mean() / kurtosis - 1) < 0.03
    assert len(set(noise[0].flatten().tolist())) > 1000


def test_uniform_noise_is_bounded() -> None:
    noise = shift(torch.zeros(50, 3, 40, 40), "uniform", 5)
    assert 0.8 * 3**0.5 * 0.999 < noise.abs().max() <= 0.8 * 3**0.5 * (1 + 1e-6)


def test_channel_shift_is_one_normal_constant_per_image_and_channel() -> None:
    inputs = torch.zeros(20_000, 3, 2, 2)
    moved = shift(inputs, "channel", 3)
    constants = moved[:, :, :1, :1]
    assert torch.equal(moved, constants.expand_as(moved))
    assert len(set(constants.flatten().tolist())) > 59_000
    assert abs(constants.std() / 0.2 - 1) < 0.02
    assert abs(constants.mean()) < 4 * 0.2 / 60_000**0.5
    assert torch.corrcoef(constants.view(-1, 3).T).fill_diagonal_(0).abs().max() < 4 / 20_000**0.5


@pytest.mark.parametrize("name", corruptions.list_corruptions("shift_*"))
@pytest.mark.parametrize("shape", [(4, 10), (4, 16, 7), (4, 64, 3, 2), (4, 2, 3, 4, 5)])
def test_inputs_of_any_shape_with_channels_work(name: str, shape: tuple[int, ...]) -> None:
    """An activation layer's input has any number of channels and axes."""
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 100
    moved = corruptions.corrupt(inputs, name, severity=2.5)
    assert moved.shape == shape
    assert not torch.equal(moved, inputs)
    assert torch.equal(
        moved[1:2], corruptions.corrupt(inputs[1:2], name, severity=2.5, ids=torch.tensor([1]))
    )


def test_nothing_is_clipped_and_half_precision_is_kept() -> None:
    inputs = torch.tensor([[-1000.0, 1000.0]], dtype=torch.float16)
    assert shift(inputs, "gain_up", 5).tolist() == [[-1800.0, 1800.0]]
    assert shift(inputs, "up", 1).dtype == torch.float16
    assert get_corruption("shift_up").domain == "input"
