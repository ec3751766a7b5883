"""Labels of activations, with their run if several runs are compared."""

import re
from collections import Counter
from collections.abc import Iterable

from robustbench_act.activations.facts import activation_label

_OF_RUN = re.compile(r"(?P<activation>.+?) ⟨(?P<place>\d+)⟩ (?P<run>.+)", re.DOTALL)


def of_run(activation: str, place: int, run: str) -> str:
    """Return the name of an activation of one of several runs.

    >>> of_run("relu", 2, "new")
    'relu ⟨2⟩ new'
    """
    return f"{activation} ⟨{place}⟩ {run}"


def split_run(name: str) -> tuple[str, int, str]:
    """Return activation, place of its run, and the run's name: 1 and "" if no run is named.

    >>> split_run("la_silu(alpha=0.1) ⟨2⟩ new"), split_run("relu")
    (('la_silu(alpha=0.1)', 2, 'new'), ('relu', 1, ''))
    """
    found = _OF_RUN.fullmatch(name)
    return (found["activation"], int(found["place"]), found["run"]) if found else (name, 1, "")


def plain_name(name: str) -> str:
    """Return an activation without its parameters and its run.

    >>> plain_name("la_silu(alpha=0.1) ⟨2⟩ new")
    'la_silu'
    """
    return split_run(name)[0].partition("(")[0]


def label(name: str) -> str:
    """Return the label of an activation, and its run.

    >>> label("la_silu"), label("la_silu(alpha=0.1)"), label("relu ⟨2⟩ new"), label("mine")
    ('LA-SiLU', 'LA-SiLU (alpha=0.1)', 'ReLU · new', 'mine')
    """
    return " · ".join(filter(None, label_and_run(name)))


def label_and_run(name: str) -> tuple[str, str]:
    """Return the label of an activation, and its run or "".

    >>> label_and_run("la_silu(alpha=0.1) ⟨2⟩ new")
    ('LA-SiLU (alpha=0.1)', 'new')
    """
    activation, _, run = split_run(name)
    return activation_label(activation), run


def short_labels(names: Iterable[str]) -> dict[str, str]:
    """Return labels for narrow places: at most 24 letters, unless two would become equal.

    >>> short_labels(["la_silu", "a_name_that_is_too_long_for_this_place ⟨2⟩ new"])["la_silu"]
    'LA-SiLU'
    >>> list(short_labels(["a_name_that_is_too_long_for_this_place ⟨2⟩ new"]).values())
    ['a_name_that_…place · new']
    """
    whole = {name: label(name) for name in names}
    short = {name: text if len(text) <= 24 else f"{text[:12]}…{text[-11:]}" for name, text in whole.items()}
    often = Counter(short.values())
    return {name: text if often[text] == 1 else whole[name] for name, text in short.items()}
