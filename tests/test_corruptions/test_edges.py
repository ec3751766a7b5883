"""The distance from edges against the closed form, and the trick that makes it fit into 16 bits."""

import numpy as np
import torch

from corruptions import _edges
from corruptions._edges import FARTHEST, chamfer_distance


def test_the_units_of_the_distance_sort_all_ways_by_their_length() -> None:
    """So that the least sum of units is that of the shortest way, and a sum tells the way."""
    far, near = np.tril_indices(FARTHEST + 2)
    moves = np.stack(
        [np.maximum(far - 2 * near, 0), np.maximum(2 * near - far, 0), np.minimum(near, far - near)]
    )
    lengths, units = (np.array(each) @ moves for each in (_edges._LENGTHS, _edges._UNITS))
    order = np.argsort(lengths, kind="stable")[: np.count_nonzero(lengths < FARTHEST + 2)]
    steps, rises = np.diff(lengths[order]), np.diff(units[order])
    assert np.all((rises > 0) == (steps > 0))
    assert np.all(rises >= 0)


def test_distances_are_those_of_the_nearest_edge() -> None:
    generator = torch.Generator().manual_seed(0)
    edges = (torch.rand(3, 1, 45, 30, generator=generator) < 0.004).to(torch.uint8)
    edges[2] = 0
    ours = chamfer_distance(edges).double().numpy()
    places = np.indices((45, 30)).reshape(2, -1)
    for edge, distance in zip(edges[:, 0].numpy(), ours[:, 0], strict=True):
        offsets = np.abs(places[:, :, None] - np.argwhere(edge).T[:, None])
        near, far = offsets.min(0), offsets.max(0)
        knights = np.minimum(near, far - near)
        straight, diagonal = np.maximum(far - 2 * near, 0), np.maximum(2 * near - far, 0)
        ways = straight + diagonal * 91750 / 65536 + knights * 143976 / 65536
        nearest = ways.min(1, initial=FARTHEST).reshape(45, 30)
        assert np.abs(distance - nearest).max() < 1e-5
