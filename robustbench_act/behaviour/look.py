"""One look at a network before a run: whether it meets what the evaluation assumes.

The evaluation shows the same batches of corrupted images to all networks. It takes each row of a network's
answer, and of its activations, for one image. That is right only if a network in evaluation mode answers an
image the same way every time, whatever the other images of the batch, their number and their order. A few
passes over three images, and one over copies of them, tell.
"""

from collections.abc import Mapping
from dataclasses import astuple, replace
from itertools import product

import torch
from torch import Tensor, nn

from robustbench_act.behaviour.outputs import recognise
from robustbench_act.behaviour.unlisted import unlisted_activations
from robustbench_act.devices import MEMORY_FORMATS
from robustbench_act.english import some
from robustbench_act.errors import InputError, first_line
from robustbench_act.models import UnclearOutputError, answer_entry, answer_rows
from robustbench_act.models.random_state import random_state, seeded
from robustbench_act.probes import DEFAULT_METRICS, ImageAxis, Probe, RowPrints, image_axis
from robustbench_act.records import Behaviour

IMAGES = 3
"""Number of images that a network is shown; the first one is then changed."""

CROWD = 16
"""Copies of the images in the largest batch that a network is shown: some see each other only in these."""

TOLERANCE = {"fp32": 1e-4, "bf16": 2**-4, "fp16": 2**-7}
"""Answers count as alike if they differ by at most this share of the largest value, by precision.

Rounding is far below in fp32: 2e-6, or 34 unit roundoffs (2**-24), at most in the networks of torchvision and
timm (docs/networks.md). Autocast sums in fp32, so half precisions round less often: by 2 unit roundoffs at
most in 16 of these networks (bf16; fp16: in 2). They get 16 of 2**-8 in bf16 and of 2**-11 in fp16.
"""

_ALONE = 6  # images of the company that are shown alone too
_CHANGED = 0  # its copies stay as they are
_FAR = 100  # by which inputs are multiplied, so that logits do not stay between 0 and 1 by chance
_SEED = 0

_COMPANY = "its answer to an image depends on the other images of the batch"

_NONE = (
    "it calls no activation layer that can be watched; one that is written out in a forward pass, such as "
    "x * torch.sigmoid(x), must be a module of its own to be seen"
)

Prints = dict[str, list[Tensor]]


def look_at(
    network: nn.Module,
    images: Tensor,
    other: Tensor,
    *,
    classes: int,
    company: Tensor | None = None,
    batch_size: int = CROWD,
    memory_format: str = "contiguous",
    precision: str = "fp32",
    probes: bool = True,
    allow_random: bool = False,
) -> Behaviour:
    """Return how a network behaves in evaluation mode.

    A network that rejects IMAGES images is shown copies of them, in batches of other sizes. One that answers
    no batch is not judged (`fails` says why): it fails in the run.

    Parameters
    ----------
    images
        Normalised (3, C, H, W), on the network's device.
    other
        A different image (C, H, W), put in the place of the first one; each of its values should differ.
    classes
        Columns that the answers should have.
    company
        (N, C, H, W) as the run has them: a network may decide for a whole batch by what is in it, such as to
        stop early if all answers are sure.
    batch_size
        Images in a batch of the run: that many are shown to a network that rejects a few.
    memory_format
        The run's memory format: a key of `devices.MEMORY_FORMATS`.
    precision
        The precision in which the network computes: a key of TOLERANCE.
    probes
        Whether its activation layers are to be measured.
    allow_random
        Whether a network may give different answers to the same images.

    Raises
    ------
    InputError
        The network is random although `allow_random` is False; it changes from pass to pass; its answers do
        not have a column for each class; or it returns several things, none of them clearly its answer.

    Examples
    --------
    >>> sees_all = nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.BatchNorm1d(2, track_running_stats=False))
    >>> look_at(sees_all.eval(), torch.rand(3, 1, 2, 2), torch.rand(1, 2, 2), classes=2).batch_dependent
    True
    """
    found = Behaviour(looked_at=True, precision="" if precision == "fp32" else precision)
    crowd = min(CROWD, batch_size)
    failed: list[str] = []
    sizes, layouts = (IMAGES, crowd, batch_size), (memory_format, "contiguous")
    for size, layout in product(dict.fromkeys(sizes), dict.fromkeys(layouts)):
        shown = images[[place % IMAGES for place in range(size)]]
        passes = _Passes(network, layout, TOLERANCE[precision], classes)
        rows, reason = passes.tried(shown)
        if not reason:
            break
        failed.append(reason)
    else:
        return replace(found, fails=failed[0])
    state = passes.state()
    found = replace(found, memory_format="" if layout == memory_format else layout)
    found = replace(found, entry=passes.entry or "", outputs=passes.recognised(shown, rows, classes))
    changed = shown.clone()
    changed[_CHANGED] = other
    in_company, after, unwatched = passes.printed(changed, probes=probes)
    again, before, unwatched_again = passes.printed(shown, probes=probes and not unwatched)
    found = replace(found, random=passes.drew)
    _refuse_if_random(passes.are_alike(rows, again), passes.drew, allow_random=allow_random)
    _refuse_if_changed(state, passes.state())
    dependent = not passes.are_alike(rows[_CHANGED + 1 :], in_company[_CHANGED + 1 :])
    if not (dependent or passes.drew):
        kinds = min(size, IMAGES)
        batches = [size - 1], [place % kinds for place in reversed(range(max(crowd, size)))]
        dependent = not all(passes.would_answer(shown[places], rows[places]) for places in batches)
    if not (dependent or passes.drew) and company is not None:
        together, _ = passes.tried(company)
        dependent = not all(
            passes.would_answer(company[place : place + 1], together[place : place + 1])
            for place in range(min(_ALONE, len(together)))
        )
    if dependent:
        _refuse_if_random(passes.are_alike(rows, passes.answer(shown)), False, allow_random=allow_random)
        return replace(found, batch_dependent=True, unwatched=_COMPANY if probes else "")
    if not probes:
        return found
    unlisted = unlisted_activations(network, shown[:IMAGES])
    if not before:
        reason = unwatched or unwatched_again or getattr(type(network), "WHY_UNWATCHED", _NONE)
        return replace(found, unwatched=reason, unlisted=unlisted)
    axes = {
        name: image_axis(own, after.get(name, []), images=size, changed=_CHANGED)
        for name, own in before.items()
    }
    half = max(size // 2, 1)
    return passes.probed(torch.cat([shown[:half], changed[:half]]), axes, replace(found, unlisted=unlisted))


def probe_axes(behaviour: Behaviour) -> Mapping[str, ImageAxis | str]:
    """Return the `axes` that `Probe` needs for a network."""
    return {name: ImageAxis(*values) for name, values in behaviour.folded.items()} | dict(behaviour.left_out)


class _Passes:
    """Passes of one network over a few images, each with the same random numbers."""

    def __init__(self, network: nn.Module, memory_format: str, tolerance: float, classes: int) -> None:
        self._layout, self._tolerance = MEMORY_FORMATS[memory_format], tolerance
        self._network, self._classes = network.to(memory_format=self._layout), classes
        self.entry: str | None = None  # what `answer_entry` found in the first answer
        self.drew = False  # whether the last pass drew random numbers

    @torch.inference_mode()
    def answer(self, images: Tensor) -> Tensor:
        """Return the answer (N, columns) to a copy of the images, since the network may overwrite it."""
        batch = images.clone(memory_format=self._layout)
        with seeded(_SEED, images.device):
            before = random_state(images.device)
            found = self._network(batch)
            self.drew = random_state(images.device) != before
        if self.entry is None:
            self.entry = answer_entry(found, len(images), self._classes)
        return answer_rows(found, len(images), self.entry)

    def tried(self, images: Tensor) -> tuple[Tensor, str]:
        """Return the answer and "", or an empty tensor and the reason."""
        try:
            return self.answer(images), ""
        except UnclearOutputError:
            raise
        except Exception as error:  # it may be the user's network: anything may go wrong in it
            return images.new_empty(0), first_line(error)

    def recognised(self, images: Tensor, rows: Tensor, classes: int) -> str:
        """Return what the network returns (see `recognise`): sigmoids stay so far from the data too."""
        kind = recognise(rows, classes)
        if not kind.endswith(("sigmoid", "sigmoids")):
            return kind
        far = torch.cat([self.tried(scale * images)[0] for scale in (_FAR, -_FAR)])
        leaves = bool(((far < 0) | (far > 1)).any())
        return kind.removeprefix("perhaps ").replace("sigmoid", "logit") if leaves else kind

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

    def state(self) -> dict[str, tuple[torch.Size, str]]:
        """Return the shape and the sum of each parameter and buffer that holds floating numbers.

        Sums need no copy of the weights. Whole numbers, which count passes, are left out, and so is what is
        not a plain tensor: quantised, sparse, not there yet.
        """
        tensors = [*self._network.named_parameters(), *self._network.named_buffers()]
        return {
            name: (own.shape, str(own.detach().float().sum().item()))  # as a text, nan is nan
            for name, own in tensors
            if type(own) in (Tensor, nn.Parameter)
            and own.is_floating_point()
            and own.layout is torch.strided
            and not own.is_meta
        }

    def are_alike(self, answer: Tensor, other: Tensor) -> bool:
        """Tell whether answers are the same up to rounding, that of the columns that are not constant.

        A class that is masked by -1e9 does not make the others coarse.
        """
        varying = (answer != answer[:1]).any(0)
        values = answer[:, varying] if varying.any() else answer
        finite = values[values.isfinite()]
        largest = float(finite.abs().max()) if len(finite) else 0.0
        return torch.allclose(answer, other, rtol=0, atol=self._tolerance * largest, equal_nan=True)

    def would_answer(self, batch: Tensor, rows: Tensor) -> bool:
        """Tell whether a batch gets these answers; True if the network cannot take so few or so many."""
        try:
            return self.are_alike(self.answer(batch), rows)
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


def _refuse_if_changed(before: Mapping[str, object], after: Mapping[str, object]) -> None:
    """Compare the states after two passes over the same images: what only keeps the last images is alike."""
    changed = [name for name, own in before.items() if after.get(name, own) != own]
    if changed:
        raise InputError(
            f"changes from pass to pass in evaluation mode: {some(changed)} of the network, so its answer "
            "depends on the images before. Let eval() stop the updates."
        )
