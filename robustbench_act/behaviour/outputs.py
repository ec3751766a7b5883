"""Recognises what a network returns on a few images, and turns it into logits."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from robustbench_act.errors import InputError
from robustbench_act.models import answer_entry, answer_rows
from robustbench_act.records import Behaviour

USUAL = Behaviour()
"""What is known of a network before it was looked at."""

_SUM = 4e-3  # by which probabilities, rounded to bfloat16 at worst, may miss a sum of 1
_EQUAL = 1e-5  # by which sums of rows may differ, as a share: rounding in float32
_TINY = 1e-30  # the least probability whose logarithm is taken


def logits_of(
    network: nn.Module, inputs: Tensor, behaviour: Behaviour = USUAL, columns: Tensor | None = None
) -> Tensor:
    """Return float32 logits (N, classes) of a network that was looked at.

    `columns`, int64, are those of the classes that count; None if all do. Networks may return more in
    training mode: there the answer is found again, as by the look.

    Raises InputError if it was recognised by numbers from 0 up, or to 1, and now returns others.
    """
    output, outputs = network(inputs), behaviour.outputs
    entry = answer_entry(output, len(inputs)) if network.training else behaviour.entry
    raw = answer_rows(output, len(inputs), entry)
    if outputs == "shares" and (raw < 0).any():
        raise InputError(
            f"expected numbers from 0 up, as on the few images before the run, got {raw.min():.3g}: return "
            "the logits."
        )
    if outputs in ("probabilities", "sigmoids", "one sigmoid") and ((raw < -_SUM) | (raw > 1 + _SUM)).any():
        raise InputError(
            f"expected {outputs}, as on the few images before the run, got numbers from {raw.min():.3g} to "
            f"{raw.max():.3g}: return the logits."
        )
    logits = _LOGITS[outputs](raw)
    return logits if columns is None else logits[:, columns.to(logits.device)]


def recognise(raw: Tensor, classes: int) -> str:
    """Return what a network with this many classes returns: a key of `records.behaviour.OUTPUTS`.

    Rows of numbers from 0 up that sum to 1 are probabilities; rows that sum to a different number, the same
    for all, are shares: an ensemble's probabilities added up, votes, percentages. Other numbers between 0
    and 1 are sigmoids. If some are exactly 0, they may be sigmoids that were rounded, or what a ReLU lets
    through.
    Logarithms of probabilities count as logits. Raises InputError if there is not a column for each class.

    >>> recognise(torch.tensor([[0.2, 0.8], [0.5, 0.5]]), 2), recognise(torch.tensor([[-1.0, 3.0]]), 2)
    ('probabilities', 'logits')
    """
    columns = raw.shape[1]
    doubt = "" if bool((raw > 0).all()) else "perhaps "
    bounded = bool(((raw >= 0) & (raw <= 1)).all() and (raw > 0).any())
    if columns == 1 and classes == 2:
        return f"{doubt}one sigmoid" if bounded else "one logit"
    if columns != classes:
        raise InputError(
            f"returns {columns} columns, expected {classes}, one for each class. Is the number of classes "
            "right (--classes), and does the network end with its classifier?"
        )
    if bool((raw >= 0).all() and ((raw.sum(1) - 1).abs() < _SUM).all()):
        return "probabilities"
    if _are_shares(raw):
        return "shares"
    return f"{doubt}sigmoids" if bounded else "logits"


def _are_shares(raw: Tensor) -> bool:
    """Tell whether rows of numbers from 0 up differ, but not in their sums."""
    wide = raw.double()
    sums = wide.sum(1)
    rounding = _EQUAL * float(sums[0])
    rows_differ = bool((wide - wide[0]).abs().sum() > 1000 * rounding)
    return bool((wide >= 0).all()) and rows_differ and bool(((sums - sums[0]).abs() <= rounding).all())


def _log(p: Tensor) -> Tensor:
    return p.clamp(min=_TINY).log()


def _inverse_sigmoid(p: Tensor) -> Tensor:
    wide = p.double()
    return (_log(wide) - _log(1 - wide)).float()


def _two(logit: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(logit), logit], 1)


_LOGITS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "logits": lambda raw: raw,
    "probabilities": _log,
    "shares": _log,
    "sigmoids": _inverse_sigmoid,
    "perhaps sigmoids": lambda raw: raw,
    "one logit": _two,
    "one sigmoid": lambda raw: _two(_inverse_sigmoid(raw)),
    "perhaps one sigmoid": _two,
}
