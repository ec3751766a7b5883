"""Freed memory stays in the process: a network's activations cost no page faults the second time."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource
import torch
import torchvision
from robustbench_act.allocator import keep_freed_memory

if {keep}:
    assert keep_freed_memory()
network, images = torchvision.models.resnet18().eval(), torch.zeros(64, 3, 224, 224)
with torch.inference_mode():
    network(images)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    network(images)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone gives memory back in this way")
def test_activations_are_mapped_once() -> None:
    given_back, kept = (
        int(subprocess.check_output([sys.executable, "-c", SCRIPT.format(keep=keep)]))
        for keep in (False, True)
    )
    assert kept < given_back / 4
