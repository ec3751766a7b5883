"""Colours: distinct lines, readable text, the same for a name in every report."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from reports.names import label, plain_name, short_labels
from reports.style import Line, activation_line, contrast, distinct_lines, drawing_order, heat_colours
from robustbench_act.activations.facts import SHEET, ActivationFacts

KNOWN = list(SHEET)


def test_known_lines_differ_and_families_are_told_apart() -> None:
    lines = [activation_line(name) for name in KNOWN]
    assert len({(line.colour, line.dash) for line in lines}) == len(KNOWN)
    assert {name for name in KNOWN if activation_line(name).highlighted} == {
        "la_silu",
        "la_hardsilu",
        "nrelu",
        "nswish",
    }
    assert sorted(KNOWN, key=drawing_order)[:4] == ["la_hardsilu", "la_silu", "nrelu", "nswish"]


def test_unknown_names_keep_their_line_from_process_to_process() -> None:
    code = "from reports.style import activation_line; print(activation_line('my_new_act'))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == str(activation_line("my_new_act"))


def test_every_heat_cell_is_readable() -> None:
    contrasts = [contrast(*heat_colours(percent / 100)) for percent in range(101)]
    assert min(contrasts) >= 4.5, contrasts  # WCAG AA


def test_heat_darkens_with_the_value_and_is_clipped() -> None:
    against_white = [contrast(heat_colours(percent / 100)[0], "#ffffff") for percent in range(101)]
    assert against_white == sorted(against_white)
    assert heat_colours(-1) == heat_colours(0)
    assert heat_colours(2) == heat_colours(1)


def test_long_names_that_would_become_one_stay_whole() -> None:
    names = ["relu ⟨1⟩ 2024-01-a-baseline-final", "relu ⟨2⟩ 2024-01-b-baseline-final"]
    assert list(short_labels(names).values()) == [label(name) for name in names]


def test_an_unknown_activation_keeps_its_colour_from_run_to_run() -> None:
    lines = [activation_line(name) for name in ("mine", "mine ⟨1⟩ old", "mine ⟨2⟩ new")]
    assert len({line.colour for line in lines}) == 1
    assert lines[0] == lines[1] != lines[2]


def names_of(random: np.random.Generator, size: int) -> list[str]:
    """Return names of all kinds: ours and unknown, with parameters, of several runs."""
    words = [*KNOWN, *(f"act{number}" for number in range(40)), "ä ö", "$x$", "mine⟨", ""]
    names = []
    for word in random.choice(words, size):
        parameters = random.choice(["", "(alpha=0.1)", "(a=1, b=2)", f"(alpha={random.integers(99)})"])
        rest = random.choice(["", " ‹layer norm›", " ‹no norm · mine›"])
        names.append(f"{word}{parameters}{rest}{random.choice(['', ' ⟨1⟩ old', ' ⟨2⟩ new', ' ⟨3⟩ third'])}")
    return names


def look(line: Line) -> tuple[str, tuple[float, ...]]:
    return line.colour.lower(), line.dash


@pytest.mark.parametrize("seed", range(20))
def test_no_two_activations_of_a_report_share_colour_and_dash(seed: int) -> None:
    random = np.random.default_rng(seed)
    names = names_of(random, int(random.choice([3, 10, 60, 300])))
    chosen = [{}, {"relu": "#009e73", "act3": "#009E73", "silu": "#24292f"}][seed % 2]
    lines = distinct_lines(names, chosen)
    assert lines.keys() == set(names)
    assert len(set(map(look, lines.values()))) == len(lines)
    assert all(line.dash == () or min(line.dash) > 0 for line in lines.values())
    assert distinct_lines(random.permutation(names).tolist(), chosen) == lines
    for name, line in lines.items():
        assert line.colour == chosen.get(plain_name(name), line.colour)
        if name in KNOWN and not chosen:
            assert line == activation_line(name)  # ours never give way to names of others


def test_a_name_keeps_its_line_unless_an_earlier_one_has_it() -> None:
    """Of 400 names, those whose own line is unlike all others' have it beside any of them."""
    names = [f"net{number}" for number in range(400)]
    own = {name: look(activation_line(name)) for name in names}
    for name, other in pairwise(names):
        lines = distinct_lines([name, other])
        first, second = sorted([name, other])
        assert look(lines[first]) == own[first]
        assert (look(lines[second]) == own[second]) == (own[first] != own[second])


def test_families_of_others_come_after_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, family in (("b1", "gated"), ("a1", "wavelets"), ("a2", "gated")):
        monkeypatch.setitem(SHEET, name, ActivationFacts(name, name, family, "x"))
    names = sorted(["a1", "a2", "b1", "relu", "mine", "la_silu"], key=drawing_order)
    assert names == ["la_silu", "relu", "mine", "a2", "b1", "a1"]
