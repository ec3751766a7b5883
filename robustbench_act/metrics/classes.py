"""The accuracy of each class."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from robustbench_act.errors import InputError
from robustbench_act.metrics.scores import image_accuracy
from robustbench_act.records import succeeded
from robustbench_act.statistics import shrunk_means


def class_accuracy(cells: pd.DataFrame, labels: ArrayLike) -> pd.DataFrame:
    """Return the accuracy of each class: checkpoint, label, n (images), clean, mca and mca_shrunk.

    mca_shrunk is `statistics.shrunk_means` of the images' mca: of few images the lowest mca is bad luck.
    Needs outcomes of single images; `labels` are int (images,), in the run's order.
    """
    classes, place = np.unique(np.asarray(labels), return_inverse=True)
    count = np.bincount(place)
    frames = []
    for checkpoint, rows in succeeded(cells).groupby("checkpoint", sort=False):
        columns: dict[str, Any] = {"checkpoint": checkpoint, "label": classes, "n": count}
        for name, part in (("clean", rows[rows["severity"] == 0]), ("mca", rows[rows["severity"] > 0])):
            accuracy = image_accuracy(part)
            if len(accuracy) != len(place):
                raise InputError(f"Expected a label for each of {len(accuracy)} images, got {len(place)}.")
            columns[name] = np.bincount(place, weights=accuracy) / count
        columns["mca_shrunk"] = shrunk_means(accuracy, place)
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)
