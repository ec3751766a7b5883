"""A strip of real images to look at: clean, then each severity."""

import io

import torch
from PIL import Image
from torch import Tensor

from robustbench_act.preprocessing import denormalise
from robustbench_act.tally.cell_quantities import THUMBNAILS

_GAP = 2  # white pixels between images


def strip(inputs: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> bytes:
    """Return a PNG of the first images of stacked inputs (k + 1, n, C, H, W).

    A row is an image, a column a version of it.

    Input shifts are shown as the image that would give the shifted input, clipped to what can be shown.
    """
    images = denormalise(inputs[:, :THUMBNAILS].cpu(), mean, std)
    images = torch.nn.functional.pad(images, (0, _GAP, 0, _GAP), value=255)
    sheet = images.permute(1, 3, 0, 4, 2).flatten(2, 3).flatten(0, 1)  # (rows * H, versions * W, C)
    picture = Image.fromarray(sheet.squeeze(-1).contiguous().numpy())
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
