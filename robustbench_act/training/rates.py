"""Learning rates: one for all activations, or one of its own for some."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from robustbench_act.activations import activation_name
from robustbench_act.activations.registry import resolve
from robustbench_act.errors import InputError, unknown_name
from robustbench_act.option_kinds import is_number, split_outside_brackets
from robustbench_act.training.grid import Job


@dataclass(frozen=True)
class LearningRates:
    """The learning rate of each activation.

    Attributes
    ----------
    own
        By the names of activations, as tables give them.
    others
        That of all other activations; None if each has to have its own.

    Examples
    --------
    >>> rates = LearningRates.parse("0.1, silu=0.05, la_silu(alpha=0.1)=0.02")
    >>> rates.others, dict(rates.own)
    (0.1, {'silu': 0.05, 'la_silu(alpha=0.1)': 0.02})
    """

    others: float | None = None
    own: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def parse(cls, given: float | str | Mapping[str, float]) -> Self:
        """Return the learning rates of a number, of "0.1,silu=0.05", or of a mapping from activations.

        Raises InputError if a rate is not a number above 0, or two are given for the same activations.
        """
        if isinstance(given, str):
            pairs = [_pair(part, given) for part in split_outside_brackets(given)]
        else:
            pairs = list(given.items()) if isinstance(given, Mapping) else [("", given)]
        found: dict[str, float] = {}
        for activation, rate in pairs:
            name = activation_name(*resolve(activation)) if activation else ""
            if name in found:
                raise InputError(f"lr: expected one learning rate of {name or 'all others'}, got two.")
            if not is_number(rate) or not rate > 0:
                raise InputError(f"Expected lr > 0{name and f' for {name}'}, got {rate!r}.")
            found[name] = rate
        return cls(found.pop("", None), found)

    def check(self, jobs: Iterable[Job]) -> None:
        """Raise InputError if a job has no learning rate, or an activation is not among those of the jobs."""
        names = list(dict.fromkeys(job.name for job in jobs))
        if wrong := next((name for name in self.own if name not in names), None):
            raise unknown_name("activation with a learning rate", wrong, names)
        if self.others is None and (bare := next((name for name in names if name not in self.own), None)):
            raise InputError(
                f"lr: expected a learning rate of {bare}, got those of {', '.join(self.own)}; "
                "a number without a name is that of all others."
            )

    def of(self, job: Job) -> float:
        """Return the learning rate of a job; a KeyError if it has none."""
        rate = self.own.get(job.name, self.others)
        if rate is None:
            raise KeyError(job.name)
        return rate


def _pair(part: str, text: str) -> tuple[str, float]:
    name, _, rate = part.rpartition("=") if not part.endswith(")") else (part, "", "")
    try:
        return name.strip(), float(rate)
    except ValueError:
        raise InputError(f"lr: expected a number, or 0.1,silu=0.05, got {text!r}.") from None
