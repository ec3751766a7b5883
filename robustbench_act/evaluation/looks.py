"""Looks at every network of a plan once, before anything is written."""

import pickle
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from corruptions import check_corruption, get_corruption
from robustbench_act.activations.contract import check_own_layers
from robustbench_act.behaviour import CROWD, IMAGES, look_at
from robustbench_act.checkpoints import Checkpoint
from robustbench_act.datasets import Dataset
from robustbench_act.devices import at_hand
from robustbench_act.errors import InputError
from robustbench_act.evaluation.execution import SMALL, Execution
from robustbench_act.evaluation.executors import Crew, Seat, settle
from robustbench_act.evaluation.plan import Plan
from robustbench_act.evaluation.precision import computing, memory_format
from robustbench_act.models import Architecture
from robustbench_act.records import Behaviour, CheckpointInfo


def check_own_corruptions(plan: Plan, execution: Execution) -> None:
    """Raise InputError if a corruption of the user's breaks the contract, or cannot be found by workers.

    See `corruptions.check_corruption`: each is tried on a few images of the plan, on black and on white. What
    they warn of becomes notes.
    """
    few = plan.dataset.subset(min(_TRIED, len(plan.dataset))).images
    images = torch.cat([few, torch.zeros_like(few[:1]), torch.full_like(few[:1], 255)])
    images = images.to(at_hand(execution.device))
    for name in plan.own_corruptions:
        kind = get_corruption(name)
        if execution.executor == "ray" and kind.home == "__main__":
            raise InputError(f"Corruption {name!r} is defined in a script; Ray needs it in a module.")
        shown = images if kind.domain == "pixels" else images / 64 - 2
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            check_corruption(name, shown, severities=plan.severities, seed=plan.seed)
        for text in dict.fromkeys(str(one.message) for one in said):
            execution.on_note(text)


def with_behaviours(
    plan: Plan,
    execution: Execution,
    *,
    allow_random: bool = False,
    known: Iterable[CheckpointInfo] = (),
    on_network: Callable[[], None] = lambda: None,
) -> Plan:
    """Return the plan with the behaviour of each of its networks that can run.

    Raises InputError, with the name of the checkpoint, for a network that cannot be evaluated: see
    `behaviour.look_at`.

    Parameters
    ----------
    known
        Checkpoints of the same plan that were looked at before; they are not looked at again, unless a
        function of the user's builds them: its code may have changed, and then it is a different run.
    on_network
        Called before each look.
    """
    found = {
        (one.name, one.digest): one.behaviour
        for one in known
        if one.behaviour.looked_at and not _is_users(one.model or one.architecture)
    }
    few = few_images(plan.dataset)
    behaviours: dict[str, Behaviour] = {}
    with _seat(execution) as seat:
        for checkpoint in plan.checkpoints:
            if checkpoint.problem is not None:
                continue
            seen = found.get((checkpoint.name, checkpoint.digest))
            if seen is None:
                on_network()
                users = _is_users(checkpoint.spec.architecture)
                look = partial(_behaviour_apart, seat) if seat and users else behaviour_of
                seen = look(checkpoint, few, execution, probes=plan.probes, allow_random=allow_random)
            behaviours[checkpoint.name] = seen
    return replace(plan, behaviours=behaviours)


def _seat(execution: Execution) -> AbstractContextManager[Seat | None]:
    """Return a process that a network may end, if the run has such processes."""
    if isinstance(execution.crew, Crew):
        return nullcontext(execution.crew.seats[0])
    return closing(Seat(settle)) if execution.in_processes else nullcontext()


def behaviour_of(
    checkpoint: Checkpoint,
    few: Tensor,
    execution: Execution,
    *,
    probes: bool = True,
    allow_random: bool = False,
) -> Behaviour:
    """Return how a checkpoint's network treats `few_images`; raises the errors of `with_behaviours`."""
    device, spec = at_hand(execution.device), checkpoint.spec
    channels, height, width = few.shape[1:]
    shown = checkpoint.preprocessing((channels, height, width))(few.to(device))
    network = checkpoint.model.to(device)
    threads = torch.get_num_threads()
    if max(spec.input_size) <= SMALL:
        torch.set_num_threads(1)
    try:
        with computing("fp32", device):
            check_own_layers(network, shown[:IMAGES], allow_random=allow_random)
        for precision in ("fp32", *{execution.precision} & {"bf16", "fp16"}):  # these round coarsely
            with computing(precision, device):
                found = look_at(
                    network,
                    shown[:IMAGES],
                    shown[IMAGES],
                    company=shown[IMAGES + 1 :],
                    classes=spec.classes,
                    batch_size=execution.batch_size,
                    memory_format=memory_format(spec.input_size, execution.precision, device),
                    precision=precision,
                    probes=probes,
                    allow_random=allow_random,
                )
            if not found.fails:
                break
        return found
    except InputError as error:
        raise InputError(f"{checkpoint.path}: {error}") from error
    finally:
        torch.set_num_threads(threads)


def _behaviour_apart(
    seat: Seat, checkpoint: Checkpoint, few: Tensor, execution: Execution, **options: bool
) -> Behaviour:
    """Return `behaviour_of` as a process finds it that a network may end: then it fails in the run."""
    settings = {name: getattr(execution, name) for name in ("device", "batch_size", "precision")}
    try:
        return seat.submit(_looked, pickle.dumps((checkpoint, few, settings, options))).result()
    except BrokenProcessPool:
        return Behaviour(looked_at=True, fails="its process died")
    except InputError:
        raise
    except Exception:  # it cannot be sent there, which the run will say
        return behaviour_of(checkpoint, few, execution, **options)


def _looked(request: bytes) -> Behaviour:
    checkpoint, few, settings, options = pickle.loads(request)  # noqa: S301 - from the process that started this
    return behaviour_of(checkpoint, few, Execution(**settings), **options)


def _is_users(architecture: str) -> bool:
    """Tell whether a network is neither ours nor a library's."""
    try:
        return Architecture.parse(architecture).is_factory
    except InputError:  # the spec of a checkpoint that was put together in Python
        return True


_TRIED = 4  # images of the plan that a corruption is tried on


def few_images(data: Dataset) -> Tensor:
    """Return IMAGES images at half contrast, one of noise, then CROWD images as they are, or all if fewer.

    uint8 (images, C, H, W). Each value of the noise is beyond all of those at half contrast, so it also
    changes what depends on the extremes of a batch. The images are the first of stratified subsets.
    """
    pixels = data.subset(min(IMAGES, len(data))).images
    images = pixels[torch.arange(IMAGES) % len(pixels)] // 2 + 64
    noise = 255 * torch.randint(2, images[:1].shape, generator=torch.Generator().manual_seed(0))
    return torch.cat([images, noise.to(torch.uint8), data.subset(min(CROWD, len(data))).images])
