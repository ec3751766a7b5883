"""Colours: distinct lines, readable text, the same for a name in every report."""

import subprocess
import sys

from reports.names import label, short_labels
from reports.style import activation_line, contrast, drawing_order, heat_colours
from robustbench_act.activations.facts import SHEET

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
