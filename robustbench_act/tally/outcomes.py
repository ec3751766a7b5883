"""Which images were classified correctly: a bit per image and cell."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from robustbench_act.errors import InputError

IMAGES_PER_BYTE = 8


def pack_outcomes(correct: NDArray[np.bool_]) -> list[bytes]:
    r"""Return each row of correct (cells, images) as ceil(images / 8) bytes, the first in the highest bit.

    >>> pack_outcomes(np.array([[True, False, True]]))
    [b'\xa0']
    """
    return [bits.tobytes() for bits in np.packbits(correct, axis=1)]


def unpack_outcomes(packed: bytes, count: int) -> NDArray[np.bool_]:
    r"""Return bool (rows * count,) of rows of whole bytes, `count` images in each.

    >>> unpack_outcomes(b"\xa0", 3)
    array([ True, False,  True])
    """
    rows = np.frombuffer(packed, dtype=np.uint8).reshape(-1, max(-(-count // 8), 1))
    return np.unpackbits(rows, axis=1, count=count).astype(bool).reshape(-1)


def outcomes(cells: pd.DataFrame) -> NDArray[np.bool_]:
    """Return bool (rows, images): which images were classified correctly in each of some `Run.cells`.

    The images are those of `Run.images`, the same in every cell: paired in runs of one data set and limit.
    Raises InputError if a row failed or has no outcomes, or the rows differ in their number of images.
    """
    if "outcomes" not in cells:
        raise InputError("Expected cells with outcomes of single images; evaluate again to have them.")
    sizes = cells["n"].unique()
    if len(sizes) > 1 or (sizes == 0).any():
        raise InputError(
            f"Expected cells with one number of images, at least 1, got {sorted(sizes.tolist())} (0: failed)."
        )
    if cells.empty:
        return np.zeros((0, 0), dtype=bool)
    return unpack_outcomes(b"".join(cells["outcomes"]), int(sizes[0])).reshape(len(cells), -1)
