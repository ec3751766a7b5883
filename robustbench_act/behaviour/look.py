"""One look at a network before a run: whether it meets what the evaluation assumes.

The evaluation shows the same batches of corrupted images to all networks. It takes each row of a network's
answer, and of its activations, for one image. That is right only if a network in evaluation mode answers an
image the same way every time, whatever the other images of the batch, their number and their order. A few
passes over three images, and one over copies of them, tell.
"""

from collections.abc import Mapping
from dataclasses import astuple, replace

import torch
from torch import Tensor, nn

from robustbench_act.behaviour.outputs import check_rows, recognise
from robustbench_act.behaviour.random_state import random_state, seeded
from robustbench_act.devices import MEMORY_FORMATS
from robustbench_act.errors import InputError, first_line
from robustbench_act.probes import DEFAULT_METRICS, ImageAxis, Probe, RowPrints, image_axis
from robustbench_act.records import Behaviour

IMAGES = 3
"""Number of images that a network is shown; the first one is then changed."""

CROWD = 16
"""Copies of the images in the largest batch that a network is shown: some see each other only in these."""

TOLERANCE = 1e-4
"""Answers count as alike if they differ by at most this share of the largest value.

Rounding is far below: 2e-6 at most in the networks of torchvision and timm (docs/networks.md).
"""

_CHANGED, _OTHERS = 0, [1, 2]  # the middle one is in the same place from either end
_FAR = 100  # by which inputs are multiplied, so that logits do not stay between 0 and 1 by chance
_SEED = 0

_COMPANY = "its answer to an image depends on the other images of the batch"

Prints = dict[str, list[Tensor]]


def look_at(
    network: nn.Module,
    images: Tensor,
    other: Tensor,
    *,
    classes: int,
    crowd: int = CROWD,
    memory_format: str = "contiguous",
    probes: bool = True,
    allow_random: bool = False,
) -> Behaviour:
    """Return how a network behaves in evaluation mode.

    A network that cannot answer is not judged further (`fails` says why): it fails in the run.

    Parameters
    ----------
    images
        Normalised (3, C, H, W), on the network's device.
    other
        A different image (C, H, W), put in the place of the first one; each of its values should differ.
    classes
        Columns that the answers should have.
    crowd
        Copies of the images in the largest batch.
    memory_format
        The run's memory format: a key of `devices.MEMORY_FORMATS`.
    probes
        Whether its activation layers are to be measured.
    allow_random
        Whether a network may give different answers to the same images.

    Raises
    ------
    InputError
        The network is random although `allow_random` is False; it changes from pass to pass; or its answers
        do not have a column for each class.

    Examples
    --------
    >>> sees_all = nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.BatchNorm1d(2, track_running_stats=False))
    >>> look_at(sees_all.eval(), torch.rand(3, 1, 2, 2), torch.rand(1, 2, 2), classes=2).batch_dependent
    True
    """
    found, passes = Behaviour(looked_at=True), _Passes(network, memory_format)
    rows, failed = passes.tried(images)
    if failed and memory_format != "contiguous":
        passes = _Passes(network, "contiguous")
        rows, failed_too = passes.tried(images)
        if not failed_too:
            found, failed = replace(found, memory_format="contiguous"), ""
    if failed:
        return replace(found, fails=failed)
    found = replace(found, outputs=passes.recognised(images, rows, classes))
    changed = images.clone()
    changed[_CHANGED] = other
    again, before, unwatched = passes.printed(images, probes=probes)
    found = replace(found, random=passes.drew)
    _refuse_if_random(_alike(rows, again), passes.drew, allow_random=allow_random)
    company, after, _ = passes.printed(changed, probes=probes and not unwatched)
    dependent = not _alike(rows[_OTHERS], company[_OTHERS])
    if not (dependent or passes.drew):
        batches = [IMAGES - 1], [place % IMAGES for place in reversed(range(crowd))]
        dependent = not all(passes.is_alike(images[places], rows[places]) for places in batches)
    if dependent:
        _refuse_if_random(_alike(rows, passes.answer(images)), False, allow_random=allow_random)
        return replace(found, batch_dependent=True, unwatched=_COMPANY if probes else "")
    if not probes:
        return found
    if unwatched or not before:
        return replace(found, unwatched=unwatched or "it calls no activation layer that can be watched")
    axes = {
        name: image_axis(own, after.get(name, []), images=IMAGES, changed=_CHANGED)
        for name, own in before.items()
    }
    return passes.probed(torch.stack([images[0], other]), axes, found)


def probe_axes(behaviour: Behaviour) -> Mapping[str, ImageAxis | str]:
    """Return the `axes` that `Probe` needs for a network."""
    return {name: ImageAxis(*values) for name, values in behaviour.folded.items()} | dict(behaviour.left_out)


class _Passes:
    """Passes of one network over a few images, each with the same random numbers."""

    def __init__(self, network: nn.Module, memory_format: str) -> None:
        self._layout = MEMORY_FORMATS[memory_format]
        self._network = network.to(memory_format=self._layout)
        self.drew = False  # whether the last pass drew random numbers

    @torch.inference_mode()
    def answer(self, images: Tensor) -> Tensor:
        """Return the answer (N, columns) to a copy of the images, since the network may overwrite it."""
        batch = images.clone(memory_format=self._layout)
        with seeded(_SEED, images.device):
            before = random_state(images.device)
            found = self._network(batch)
            self.drew = random_state(images.device) != before
        return check_rows(found, len(images))

    def tried(self, images: Tensor) -> tuple[Tensor, str]:
        """Return the answer and "", or an empty tensor and the reason."""
        try:
            return self.answer(images), ""
        except Exception as error:  # it may be the user's network: anything may go wrong in it
            return images.new_empty(0), first_line(error)

    def recognised(self, images: Tensor, rows: Tensor, classes: int) -> str:
        """Return what the network returns (see `recognise`): sigmoids stay so far from the data too."""
        kind = recognise(rows, classes)
        unbounded = {"sigmoids": "logits", "one sigmoid": "one logit"}.get(kind)
        if unbounded is None:
            return kind
        far, _ = self.tried(torch.cat([_FAR * images, -_FAR * images]))
        return unbounded if ((far < 0) | (far > 1)).any() else kind

    def printed(self, images: Tensor, *, probes: bool) -> tuple[Tensor, Prints, str]:
        """Return the answer and the prints of the activation layers, or why they could not be taken."""
        prints: Prints = {}
        unwatched = ""
        if probes:
            try:
                with RowPrints(self._network) as watched:
                    return self.answer(images), watched.prints, ""
            except Exception as error:  # of the watched network: it has just answered unwatched
                unwatched = first_line(error)
        return self.answer(images), prints, unwatched

    def is_alike(self, batch: Tensor, rows: Tensor) -> bool:
        """Tell whether a batch gets these answers; True if the network cannot take so few or so many."""
        try:
            return _alike(self.answer(batch), rows)
        except Exception:  # squeeze() before the classifier, say
            return True

    def probed(self, pair: Tensor, axes: Mapping[str, ImageAxis | str], found: Behaviour) -> Behaviour:
        """Return the behaviour, completed by a probe of two images: one is the clean version of the other."""
        probe = Probe(self._network, metrics=DEFAULT_METRICS, versions=2, axes=axes)
        try:
            with probe:
                self.answer(pair)
        except Exception as error:
            return replace(found, unwatched=first_line(error))
        layers = [name for name in axes if name not in probe.left_out]
        if not layers:
            (reason, *_) = probe.left_out.values()
            return replace(found, unwatched=f"{next(iter(axes))}: {reason}")
        places = {name: axes[name] for name in layers}
        folded = {
            name: list(astuple(axis))
            for name, axis in places.items()
            if isinstance(axis, ImageAxis) and not axis.is_plain
        }
        return replace(found, folded=folded, left_out=dict(probe.left_out))


def _refuse_if_random(repeated: bool, drew: bool, *, allow_random: bool) -> None:
    if not repeated:
        raise InputError(
            "gives different answers to the same images, and seeds do not help: it changes from pass to "
            "pass, or draws from a generator of its own."
        )
    if drew and not allow_random:
        raise InputError(
            "draws random numbers in evaluation mode, so it answers the same images differently each time: "
            "dropout, noise or drop path is left on (F.dropout(x) without training=self.training, say). "
            "Switch it off, or pass --allow-random, which fixes the random numbers by seeds."
        )


def _alike(answer: Tensor, other: Tensor) -> bool:
    """Tell whether answers are the same up to rounding, that of the columns that are not constant.

    A class that is masked by -1e9 does not make the others coarse.
    """
    varying = (answer != answer[:1]).any(0)
    values = answer[:, varying] if varying.any() else answer
    finite = values[values.isfinite()]
    largest = float(finite.abs().max()) if len(finite) else 0.0
    return torch.allclose(answer, other, rtol=0, atol=TOLERANCE * largest, equal_nan=True)
