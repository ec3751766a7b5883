"""Labels of cohorts: the activation, what else tells them apart, and the run if several are compared."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pandas as pd

from robustbench_act.activations.names import activation_label
from robustbench_act.metrics import named, split_cohort
from robustbench_act.run import Run

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
    """Return an activation without its parameters, what else its name says, and its run.

    >>> plain_name("la_silu(alpha=0.1) ‹layer norm› ⟨2⟩ new")
    'la_silu'
    """
    return activation_of(name).partition("(")[0]


def named_run(run: Run, *, among: pd.DataFrame | None = None) -> Run:
    """Return a run with the names of cohorts in its tables: see `robustbench_act.metrics.named`."""
    whole = run.cells if among is None else among
    return replace(run, cells=named(run.cells, among=whole), layers=named(run.layers, among=whole))


def activation_of(name: str) -> str:
    """Return the activation of a cohort, with its parameters.

    >>> activation_of("la_silu(alpha=0.1) ‹layer norm› ⟨2⟩ new")
    'la_silu(alpha=0.1)'
    """
    return split_cohort(split_run(name)[0])[0]


def bare_name(name: str) -> str:
    """Return a name without what stands in columns of their own next to it.

    >>> bare_name("la_silu ‹layer norm› ⟨2⟩ new")
    'la_silu ⟨2⟩ new'
    """
    _, place, run = split_run(name)
    return of_run(activation_of(name), place, run) if run else activation_of(name)


def noun(names: Iterable[str]) -> str:
    """Return what cohorts of one run are called: variants if more than the activation tells them apart.

    >>> noun(["relu", "silu"]), noun(["relu ‹batch norm›", "relu ‹layer norm›"])
    ('activation', 'variant')
    """
    return "variant" if any(split_cohort(split_run(name)[0])[1] for name in names) else "activation"


def label(name: str) -> str:
    """Return the label of a cohort, and its run.

    >>> label("la_silu"), label("la_silu(alpha=0.1)"), label("relu ‹layer norm› ⟨2⟩ new"), label("mine")
    ('LA-SiLU', 'LA-SiLU (alpha=0.1)', 'ReLU · layer norm · new', 'mine')
    """
    return " · ".join(filter(None, label_and_run(name)))


def label_and_run(name: str) -> tuple[str, str]:
    """Return the label of a cohort, and its run or "".

    >>> label_and_run("la_silu(alpha=0.1) ⟨2⟩ new")
    ('LA-SiLU (alpha=0.1)', 'new')
    """
    cohort, _, run = split_run(name)
    activation, rest = split_cohort(cohort)
    return " · ".join(filter(None, [activation_label(activation), rest])), run


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
