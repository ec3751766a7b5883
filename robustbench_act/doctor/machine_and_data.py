"""Checks that need no network: the machine, the data."""

import importlib.metadata

import numpy as np
import torch

from robustbench_act.datasets import Dataset
from robustbench_act.doctor.finding import Finding


def examine_machine() -> list[Finding]:
    """Return versions, and whether a different distribution has overwritten our files."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("actrobust", "torch"))
    device = f"{torch.cuda.device_count()} CUDA devices" if torch.cuda.is_available() else "no CUDA device"
    found = [Finding("machine", True, f"{versions}, {device}, {torch.get_num_threads()} threads")]
    owners = importlib.metadata.packages_distributions()
    for package in ("corruptions", "reports", "robustbench_act"):
        others = sorted(set(owners.get(package, [])) - {"actrobust"})
        if others:
            text = f"the distribution {', '.join(others)} also has a package {package!r}; uninstall it"
            found.append(Finding("machine", False, text))
    return found


def examine_data(data: Dataset) -> list[Finding]:
    """Return findings on the images, their labels and their corrupted versions in files."""
    channels, height, width = data.shape
    seen = f" ({data.view})" if data.view is not None else ""
    text = f"{len(data)} of {data.total} images of {data.name}, {channels} x {height} x {width}{seen}"
    found = [Finding("data", True, text)]
    if data.unreadable:
        text = f"{len(data.unreadable)} files cannot be read, first {data.unreadable[0]}"
        found.append(Finding("data", False, text))
    if data.labels is None:
        found.append(Finding("data", True, "no labels: only agreement and fluctuation are measured"))
    else:
        present = len(np.unique(data.labels.numpy()))
        counted = f", counted from {data.labels_from} in the file" if data.labels_from else ""
        of = f", of {len(data.network_classes):,} that networks know" if data.network_classes else ""
        text = f"labels of {present} of {len(data.classes)} classes{of}{counted}"
        found.append(Finding("data", present > 1 or len(data) == 1, text))
    if data.stored is not None:
        kinds = f"{len(data.stored.corruptions)} corruptions x {len(data.stored.severities)} severities"
        text = f"{kinds} in files ({data.stored.codec}), each image paired with its clean one"
        found.append(Finding("data", True, text))
    return found
