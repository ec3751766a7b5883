"""A network and pictures for the command line."""

from pathlib import Path

import pytest
import torch

from robustbench_act.models import build_model
from tests.references.layouts import write_imagenet, write_imagenet_c

NETWORK = "cifar:resnet8?width=2"
FLAGS = (
    "--model",
    NETWORK,
    "--mean",
    "0.5,0.5,0.5",
    "--std",
    "0.5,0.5,0.5",
    "--device",
    "cpu",
    "--no-probes",
    "--report",
    "none",
)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """Return a network of ImageNet's classes that nobody trained."""
    path = tmp_path / "net.pth"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(build_model(NETWORK, classes=1000).state_dict(), path)
    return path


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    root = write_imagenet(tmp_path / "imagenet")
    write_imagenet_c(root, "ImageNet-C", groups=False)
    return root
