"""The names of cohorts: the checkpoints that differ in their training seed alone, in one architecture.

Inside the numbers and the reports a cohort has one name, in the column `activation`: the activation, and what
else differs between the cohorts of its architecture, such as the normalisation. It is made here and read
here. A table that leaves for a reader has a column for each part.
"""

import re
from collections.abc import Callable, Mapping

import pandas as pd

from robustbench_act.normalizations.facts import normalization_label

COHORT = ["architecture", "activation"]
"""The columns that tell cohorts apart, where `activation` is the cohort's name."""

AXES: Mapping[str, Callable[[str], str]] = {
    "normalization": normalization_label,
    "network_group": lambda name: name or "no group",
}
"""The columns next to `activation` that make a cohort, and how people write their values."""

_NOT_RECORDED = {"normalization": ""}
"""What older runs have: it tells nothing apart from the one value that others have."""

_NAME = re.compile(r"(?P<activation>.*?) ‹(?P<rest>.*?)›", re.DOTALL)


def named(table: pd.DataFrame, *, among: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return a table with the names of cohorts in the column `activation`.

    An axis is part of the names if it has several values in the architecture. Names stay as they are, so that
    a table may be named twice. Without a column of AXES nothing changes.

    Parameters
    ----------
    table
        With the columns `architecture`, `activation`, and those of AXES that are known.
    among
        The table that says what differs, if it is not the table itself: all cells of a run, or of several.

    Examples
    --------
    >>> norms = ["batch", "layer"]
    >>> table = pd.DataFrame({"architecture": "net", "activation": "relu", "normalization": norms})
    >>> named(table)["activation"].to_list(), named(table[:1])["activation"].to_list()
    (['relu ‹batch norm›', 'relu ‹layer norm›'], ['relu'])
    """
    axes = [axis for axis in AXES if axis in table]
    whole = table if among is None else among
    if table.empty or not {"architecture", *axes} <= set(whole) or not axes:
        return table
    parts = whole[["architecture", *axes]].drop_duplicates()
    differ = {
        architecture: [axis for axis in axes if len({*own[axis]} - {_NOT_RECORDED.get(axis)}) > 1]
        for architecture, own in parts.groupby("architecture")
    }
    if not any(differ.values()):
        return table
    keys = ["architecture", "activation", *axes]
    place = table.groupby(keys, sort=False, dropna=False).ngroup()
    each = table.loc[~place.duplicated(), keys].itertuples(index=False, name=None)
    names = [
        _name(
            activation,
            [
                AXES[axis](str(value))
                for axis, value in zip(axes, values, strict=True)
                if axis in differ[architecture]
            ],
        )
        for architecture, activation, *values in each
    ]
    return table.assign(activation=[names[number] for number in place])


def _name(activation: str, rest: list[str]) -> str:
    known = not rest or _NAME.match(activation)
    return activation if known else f"{activation} ‹{' · '.join(rest)}›"


def told_apart(table: pd.DataFrame, cohorts: pd.DataFrame) -> pd.DataFrame:
    """Return a table that leaves for a reader: the activation, and each of AXES in a column of its own.

    Parameters
    ----------
    table
        With names of cohorts in the column `activation`; without that column nothing changes.
    cohorts
        Cells of the run, with the same names and AXES.

    Examples
    --------
    >>> norms = ["batch", "layer"]
    >>> cells = pd.DataFrame({"architecture": "net", "activation": "relu", "normalization": norms})
    >>> told_apart(named(cells)[["activation"]].assign(share=0.5), named(cells)).to_dict("records")[1]
    {'activation': 'relu', 'normalization': 'layer', 'network_group': '', 'share': 0.5}
    """
    if "activation" not in table:
        return table
    keys = [name for name in COHORT if name in table]
    found = table.drop(columns=[axis for axis in AXES if axis in table])
    rows = list(found[keys].itertuples(index=False, name=None))
    place = found.columns.get_loc("activation")
    assert isinstance(place, int)
    known = with_axes(cohorts)[[*COHORT, *AXES]].drop_duplicates()
    for number, axis in enumerate(AXES, start=place + 1):
        values = {key: own[axis].unique() for key, own in known.groupby(keys)}
        mine = [values.get(row, [""]) for row in rows]
        found.insert(number, axis, [own[0] if len(own) == 1 else "" for own in mine])
    plain = [_NAME.sub(r"\g<activation>", str(name)) for name in found["activation"]]
    return found.assign(activation=plain)


def with_axes(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table that has all columns of AXES: "" for those that it lacks."""
    return table.assign(**{axis: "" for axis in AXES if axis not in table})


def split_cohort(name: str) -> tuple[str, str]:
    """Return the activation of a cohort, and the rest of its name.

    >>> split_cohort("la_silu(alpha=0.1) ‹layer norm›"), split_cohort("relu")
    (('la_silu(alpha=0.1)', 'layer norm'), ('relu', ''))
    """
    found = _NAME.fullmatch(name)
    return (found["activation"], found["rest"]) if found else (name, "")
