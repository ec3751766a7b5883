"""A multilayer perceptron with the activation as a parameter."""

from collections import OrderedDict
from collections.abc import Callable
from math import prod

from torch import nn


class MLP(nn.Sequential):
    """Hidden layers of Linear and activation, without normalisation, then Linear to the logits.

    Its input are images (N, C, H, W) of one size, its output is (N, classes). Weights begin as He et al. 2015
    (arXiv 1502.01852) draw them.

    Parameters
    ----------
    input_size
        (C, H, W) of the images.
    activation
        Called once for each hidden layer; returns a fresh module.
    depth
        Number of hidden layers.
    width
        Units of each hidden layer.
    classes
        Number of logits.

    Examples
    --------
    >>> import torch
    >>> network = MLP((1, 28, 28), activation=torch.nn.ReLU, width=64)
    >>> network(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        input_size: tuple[int, int, int],
        *,
        activation: Callable[[], nn.Module],
        depth: int = 2,
        width: int = 128,
        classes: int = 10,
    ) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        for number in range(1, depth + 1):
            layers[f"linear{number}"] = nn.Linear(prod(input_size) if number == 1 else width, width)
            layers[f"act{number}"] = activation()
        layers["linear"] = nn.Linear(width, classes)
        super().__init__(layers)
        for module in self:
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight)
