"""CIFAR ResNets (He et al. 2016, section 4.2) with the activation as a parameter.

Layout and parameter names are those of the published LayerAct checkpoints (arXiv 2306.04940):
convolutions with bias, BatchNorm before each activation, option-A shortcuts (subsample, then pad the
channels with zeros).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions with a shortcut; (N, C, H, W) -> (N, C', H / stride, W / stride)."""

    def __init__(
        self, channels_in: int, channels_out: int, *, stride: int, activation: Callable[[], nn.Module]
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.act1 = activation()
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.act2 = activation()
        self.stride = stride
        self.padding = channels_out - channels_in

    def _shortcut(self, x: Tensor) -> Tensor:
        if self.stride == 1 and self.padding == 0:
            return x
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, 0, self.padding))

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        y = self.act1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return torch.as_tensor(self.act2(y + self._shortcut(x)))


class CifarResNet(nn.Module):
    """ResNet for small images: a 3 x 3 stem and three stages of (depth - 2) / 6 blocks.

    Parameters
    ----------
    depth
        8, 20, 32, 44 or 56.
    activation
        Called once for each activation layer; returns a fresh module.
    width
        Channels of the first stage; the stages have width, 2 width, 4 width. The papers use 16.
    classes, channels
        Number of logits and of input channels.

    Examples
    --------
    >>> import torch
    >>> network = CifarResNet(8, activation=torch.nn.ReLU, width=8, channels=1)
    >>> network(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        depth: int,
        *,
        activation: Callable[[], nn.Module],
        width: int = 16,
        classes: int = 10,
        channels: int = 3,
    ) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(width)
        self.act1 = activation()
        self.layers1 = _stage(width, width, blocks, stride=1, activation=activation)
        self.layers2 = _stage(width, 2 * width, blocks, stride=2, activation=activation)
        self.layers3 = _stage(2 * width, 4 * width, blocks, stride=2, activation=activation)
        self.linear = nn.Linear(4 * width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):  # the papers' He initialisation
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        x = self.act1(self.norm1(self.conv1(x)))
        x = self.layers3(self.layers2(self.layers1(x)))
        return torch.as_tensor(self.linear(x.mean(dim=(2, 3))))


def _stage(
    channels_in: int, channels_out: int, blocks: int, *, stride: int, activation: Callable[[], nn.Module]
) -> nn.Sequential:
    first = BasicBlock(channels_in, channels_out, stride=stride, activation=activation)
    rest = (
        BasicBlock(channels_out, channels_out, stride=1, activation=activation) for _ in range(blocks - 1)
    )
    return nn.Sequential(first, *rest)
