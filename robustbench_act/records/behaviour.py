"""How a network behaved before a run, on a few images: which assumptions of the evaluation it breaks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from robustbench_act.english import some
from robustbench_act.records.json_object import JsonObject

OUTPUTS = {
    "logits": "logits",
    "probabilities": "probabilities; their logarithms are used as logits",
    "shares": "numbers from 0 up with one sum for all images; their logarithms are used as logits",
    "sigmoids": "a sigmoid for each class; log(p / (1 - p)) is used as the logit",
    "perhaps sigmoids": "numbers from 0 to 1, some exactly 0, which are used as logits; if they are sigmoids "
    "that were rounded, return the logits instead",
    "one logit": "one logit z for two classes; 0 and z are used as the logits",
    "one sigmoid": "one sigmoid p for two classes; 0 and log(p / (1 - p)) are used as the logits",
    "perhaps one sigmoid": "one number z from 0 to 1 for two classes, exactly 0 for some images; 0 and z are "
    "used as the logits; if z is a sigmoid that was rounded, return the logit instead",
}
"""What networks return, and how it becomes logits."""

BATCH_DEPENDENT = (
    "its answer to an image depends on the others, so its accuracy depends on which images share a batch; "
    "each version of a chunk goes through it as one batch, and its layers are not measured"
)


@dataclass(frozen=True, kw_only=True)
class Behaviour(JsonObject):
    """How a network behaves in evaluation mode; the defaults are the usual case.

    Attributes
    ----------
    looked_at
        Whether the network was looked at; False in older runs.
    fails
        Why it could not answer; "" if it could.
    precision
        The half precision in which it was looked at, if it fails in fp32.
    batch_dependent
        Whether its answer to an image depends on the other images of the batch.
    random
        Whether it gives different answers to the same images.
    entry
        The entry of its output that is its answer, see `robustbench_act.models.answer_entry`; "" if it
        returns a tensor.
    outputs
        What the answer is: a key of `OUTPUTS`.
    memory_format
        The memory format in which it computes, if that is not the run's.
    folded
        Layers whose first axis is not the images: the fields of a `robustbench_act.probes.ImageAxis`.
    left_out
        Layers that are not measured, with the reason.
    unwatched
        Why no layer is measured; "" if layers are.
    unlisted
        Classes of modules that may be activations, but are not known to be.
    """

    looked_at: bool = False
    fails: str = ""
    precision: str = ""
    batch_dependent: bool = False
    random: bool = False
    entry: str = ""
    outputs: str = "logits"
    memory_format: str = ""
    folded: Mapping[str, list[int]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    unwatched: str = ""
    unlisted: tuple[str, ...] = ()

    def decisive(self) -> dict[str, Any]:
        """Return what numbers depend on, as JSON, without what is usual and without reasons in words.

        >>> Behaviour(looked_at=True, random=True, unwatched="object at 0x7f").decisive()
        {'random': True, 'unwatched': True}
        """
        names = ("batch_dependent", "random", "entry", "memory_format")
        found = {name: getattr(self, name) for name in names}
        found |= {"outputs": self.outputs if self.outputs != "logits" else "", "folded": dict(self.folded)}
        found |= {"left_out": sorted(self.left_out), "unwatched": bool(self.unwatched)}
        return {name: value for name, value in found.items() if value}

    def notes(self) -> list[str]:
        """Return a sentence, without its subject, for each thing that a reader of the numbers must know.

        >>> Behaviour(random=True).notes()
        ['gives different answers to the same images; its random numbers were fixed by seeds']
        """
        unwatched = "" if self.batch_dependent else self.unwatched  # which that note says
        found = {
            f"fails on a few images, so no more is known of it before the run: {self.fails}": bool(
                self.fails
            ),
            f"fails in fp32, so it was looked at in {self.precision}, where small effects of other images "
            "in a batch cannot be told from rounding": bool(self.precision and not self.fails),
            BATCH_DEPENDENT: self.batch_dependent,
            "gives different answers to the same images; its random numbers were fixed by seeds": self.random,
            f"returns more than a tensor; its entry {self.entry!r} is used": self.entry not in ("", "logits"),
            f"returns {OUTPUTS[self.outputs]}": self.outputs != "logits",
            f"fails in channels-last memory, so it runs in {self.memory_format} memory": bool(
                self.memory_format
            ),
            f"its layers are not measured: {unwatched}": bool(unwatched),
        }
        for name in self.unlisted:
            found[
                f"{name} may be an activation, and is not measured as one: add --layers {name} if it is"
            ] = True
        layers: dict[str, list[str]] = {}
        for layer, reason in self.left_out.items():
            layers.setdefault(reason, []).append(layer)
        found |= {f"layers left out: {some(names)} ({reason})": True for reason, names in layers.items()}
        return [text for text, holds in found.items() if holds]


def notes(behaviours: Mapping[str, Behaviour]) -> list[str]:
    """Return the notes of several networks, by name; networks with the same note share a line.

    >>> other = Behaviour(outputs="probabilities")
    >>> notes({"a": other, "b": Behaviour(), "c": other})
    ['a and c: returns probabilities; their logarithms are used as logits.']
    """
    found: dict[str, list[str]] = {}
    for name, behaviour in behaviours.items():
        for text in behaviour.notes():
            found.setdefault(text, []).append(name)
    return [f"{some(names)}: {text}." for text, names in found.items()]
