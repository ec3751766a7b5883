"""The page: complete, self-contained, escaped, the same every time."""

import base64
import hashlib
import os
import re
import stat
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

import reports
from reports import Report, ReportError, tables
from reports.grid import make_grid
from reports.names import label
from reports.number_formats import probability
from robustbench_act.metrics import leaderboard
from robustbench_act.records import SourceInfo
from robustbench_act.run import Run
from tests.build_run import CORRECT, Builder, N, with_info

from .pieces import page_of

SECTIONS = ["verdict", "leaderboard", "heat", "curves", "scores", "tradeoff", "significance", "classes"]
SECTIONS += ["profile", "loss", "means", "signals", "samples", "provenance", "glossary"]
VOID = {"meta", "link", "img", "input", "wbr", "br", "col"}
# curves, distribution, trade-off, fluctuation, loss, means, distributions of means, signals
PLOTS = 3 + 1 + 1 + 4 + 4 + 2 + 2 + 2


class Page(HTMLParser):
    """All elements with their attributes, the visible text, and a check that tags close in order."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(markup)
        self.text = re.sub(r"\s+", " ", "".join(self.texts))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag in {"td", "th", "p", "li", "dd", "dt"}:
            self.texts.append(" ")

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.texts.append(data)

    def attributes(self, name: str) -> list[str]:
        return [
            value or "" for _, attributes in self.elements for key, value in attributes.items() if key == name
        ]


def section(markup: str, name: str) -> str:
    found = re.search(rf'<section aria-labelledby="{name}".*?</section>', markup, flags=re.S)
    assert found is not None
    return Page(found[0]).text


def test_sections_are_all_there_in_order(page: str) -> None:
    parsed = Page(page)
    assert parsed.open == []
    assert [a["aria-labelledby"] for tag, a in parsed.elements if tag == "section"] == SECTIONS
    links = [
        value[1:] for value in parsed.attributes("href") if value.startswith("#") and value[1:] in SECTIONS
    ]
    assert set(links) == set(SECTIONS)
    identifiers = parsed.attributes("id")
    assert len(set(identifiers)) == len(identifiers)


def test_every_leaderboard_value_is_on_the_page(run: Run, page: str) -> None:
    board = leaderboard(run.cells)
    text = section(page, "leaderboard")
    for _, row in board.iterrows():
        names = ("mca", "joint_low", "joint_high", "spread", "clean", "retained")
        within = {name: min(max(100 * row[name], 0), 100) for name in names}  # intervals may leave 0 to 100
        corrupted, low, high, spread, clean, retained = (f"{within[name]:.1f}" for name in names)
        groups = [f"{100 * row[name]:.1f}" for name in ("group_noise", "group_weather")]
        cells = [
            row["rank"],
            f"{row['rank_low']:.0f}–{row['rank_high']:.0f}",
            label(row["activation"]),
            corrupted,
            f"{low} – {high}",
            probability(row["first"]),
            spread,
            row["seeds"],
            clean,
            retained,
        ]
        assert " ".join(map(str, [*cells, *groups])) in re.sub(r" +", " ", text)
    assert "net" in Page(page).text


def test_every_number_of_the_other_tables_is_on_the_page(run: Run, page: str) -> None:
    for value in make_grid(run.cells).means.mean(axis=1).ravel():
        assert f"{100 * value:.1f}" in page
    for value in tables.curves(run.cells)["accuracy"]:
        assert f" {100 * value:.1f} " in section(page, "curves")
    profile = tables.layer_profile(run.layers)
    for name in ("input_fluctuation", "output_fluctuation", "fluctuation_ratio", "output_spread"):
        assert all(f"{value:#.3g}" in section(page, "profile") for value in profile[name])
    means = tables.activation_means(run.layers)
    assert all(f"{value:#.3g}" in section(page, "means") for value in means["clean_mean"])
    assert "block.act2" in section(page, "profile")


def test_the_largest_standard_error_of_a_cell_is_that_of_an_even_chance(page: str) -> None:
    remark = rf"With {N} images in a cell, the standard error of one .* at most (\S+) points"
    found = re.search(remark, section(page, "heat"))
    assert found is not None
    exact = 100 * (0.25 / N) ** 0.5
    assert exact <= float(found[1]) < exact + 0.1  # "at most" is rounded up


def test_verdict_comes_first_and_is_computed(page: str) -> None:
    board = section(page, "verdict")
    assert "LA-SiLU comes first: it has 76.3% accuracy on corrupted images (clean: 95.0%)" in board
    assert "4 checkpoints 2 activations compared" in board
    assert "3 corruptions severity 1 and 5" in board


def test_nothing_can_be_requested(page: str) -> None:
    parsed = Page(page)
    for name in ("src", "href", "action", "srcset", "poster", "data", "xlink:href"):
        assert all(value.startswith(("#", "data:")) for value in parsed.attributes(name))
    assert not re.search(r"@import|url\((?!#)", page)
    (policy,) = [
        a["content"] for tag, a in parsed.elements if a.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in str(policy).split(";"))
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": "'unsafe-inline'",
        "font-src": "data:",
        "script-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_print_traps_are_avoided(page: str) -> None:
    assert not re.search(r"display:\s*(inline-)?grid|linear-gradient|writing-mode|string-set|@page", page)


def test_accessible(page: str) -> None:
    parsed = Page(page)
    assert all("scope" in attributes for tag, attributes in parsed.elements if tag == "th")
    plots = [a for tag, a in parsed.elements if tag == "svg" and a.get("class") == "plot"]
    assert len(plots) == PLOTS
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in plots)
    assert all(attributes.get("alt") for tag, attributes in parsed.elements if tag == "img")
    assert ("html", {"lang": "en"}) in parsed.elements


def test_samples_are_embedded_and_missing_ones_named(page: str, run: Run) -> None:
    (image,) = [attributes for tag, attributes in Page(page).elements if tag == "img"]
    assert (image["width"], image["height"]) == ("12", "8")
    assert base64.b64decode(str(image["src"]).split(",")[1]) == run.samples["gaussian_noise"]
    assert "No strip in this run for: impulse_noise, fog." in section(page, "samples")
    bare = page_of(Report(replace(run, path=run.path / "cells")), "pictures")
    assert "This run holds no sample images" in section(bare, "samples")


def test_provenance_shows_what_run_json_says(page: str) -> None:
    text = section(page, "provenance")
    for expected in (
        "actrobust evaluate --suite 'core' --severity 1,5",
        "9.8.7",
        "seed 42",
        "0ddba11",
        "5ea1ed",
    ):
        assert expected in text
    assert all(f"d1635{activation}{seed}" in text for activation, seed in CORRECT)
    assert 'unheard of: deep 1, {"er": null}' in text
    assert text.count("recipe: lr 0.1") == 1  # what all checkpoints have alike is said once
    assert "activation relu; training seed 22" in text


def test_provenance_leaves_out_who_wrote_and_what_is_empty(run: Run) -> None:
    told = with_info(run, writer={"host": "somewhere"}, tables={"cells/part-0.parquet": "c0ffee"}, notes=())
    text = section(page_of(Report(told), "provenance"), "provenance")
    assert not re.search("somewhere|c0ffee|notes|error", text)


def test_provenance_names_the_runs_that_were_merged(run: Run) -> None:
    sources = [
        SourceInfo(checkpoints=(name,), created=f"{year}-01-01", device="cpu", kernels={"torch": "2.9"})
        for name, year in (("relu-11", 2024), ("la_silu-11", 2025))
    ]
    text = section(page_of(Report(with_info(run, sources=tuple(sources))), "provenance"), "provenance")
    assert "Merged run 2 created 2025-01-01 device cpu checkpoints la_silu-11 kernels: torch 2.9" in text


def test_names_are_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    correct = {(evil, 1): CORRECT["relu", 11], ("</title>&amp;'\"", 2): CORRECT["relu", 22]}
    builder = Builder(
        correct=correct,
        architecture=evil,
        corruptions=((evil, evil), ("fog", "weather"), ("b\" onload='x'", "noise")),
        failed={f"{evil}-1": f"{evil} broke"},
        info={"created": evil, "command": evil, "version": evil, evil: evil},
    )
    markup = reports.write_html(builder.write(tmp_path)).read_text(encoding="utf-8")
    parsed = Page(markup)
    assert parsed.open == []
    assert [tag for tag, _ in parsed.elements].count("script") == 1
    assert "<script>alert" not in markup
    assert not parsed.attributes("onload")
    assert evil in parsed.text
    assert f"{evil} broke" in section(markup, "failed")


def test_same_bytes_when_written_again(run_dir: Path, page: str) -> None:
    target = reports.write_html(run_dir)
    assert target == run_dir / "report.html"
    assert target.read_text(encoding="utf-8") == page


def test_same_bytes_in_another_process(run_dir: Path, page: str) -> None:
    target = run_dir / "report.html"
    code = f"import reports; print(reports.write_html({str(run_dir)!r}))"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True)
    assert target.read_text(encoding="utf-8") == page


def test_writing_leaves_no_traces_and_replaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Builder(correct={("relu", 1): CORRECT["relu", 11]}, probes=False).write(tmp_path)
    before = set(folder.iterdir())
    (folder / "report.html").write_text("old")
    monkeypatch.setattr(os, "fsync", fail_to_sync)
    with pytest.raises(ReportError, match=r"cannot write .*report.html: disk full"):
        reports.write_html(folder)
    assert (folder / "report.html").read_text() == "old"
    monkeypatch.undo()
    target = reports.write_html(folder)
    assert set(folder.iterdir()) - before == {target}
    assert stat.S_IMODE(target.stat().st_mode) & 0o444 == 0o444


def fail_to_sync(_: int) -> None:
    raise OSError(28, "disk full")


def test_one_seed_one_activation_no_probes(tmp_path: Path) -> None:
    folder = Builder(correct={("relu", 1): CORRECT["relu", 11]}, probes=False).write(tmp_path)
    markup = reports.write_html(folder).read_text(encoding="utf-8")
    assert "There is no other activation to compare it with." in section(markup, "verdict")
    assert "one seed" in section(markup, "leaderboard")
    for name in ("profile", "loss", "means"):
        assert "Not measured (--no-probes)." in section(markup, name)
    assert not re.search(r"\bnan\b", Page(markup).text, flags=re.I)


def test_a_failed_checkpoint_is_listed_and_in_no_average(tmp_path: Path) -> None:
    failed = {"la_silu-22": "NaN in the weights: conv1.weight"}
    report = reports.make_report(Builder(failed=failed).write(tmp_path))
    markup = page_of(report, "verdict", "leaderboard", "failed")
    assert "la_silu-22 net LA-SiLU 22 7 NaN in the weights: conv1.weight" in section(markup, "failed")
    assert "1 failed" in section(markup, "verdict")
    assert "la_silu-22" not in section(markup, "leaderboard")
    assert "75.7" in section(markup, "leaderboard")  # la_silu-11 alone: 908 of 1,200
    assert '<a href="#failed">' in markup


def test_layers_of_a_half_failed_checkpoint_are_in_no_average(run: Run) -> None:
    cells = run.cells.copy()
    row = cells.index[(cells["checkpoint"] == "la_silu-11") & (cells["severity"] == 5)][0]
    cells.loc[row, "error"] = "out of memory"
    text = section(page_of(Report(replace(run, cells=cells)), "profile"), "profile")
    assert "LA-SiLU 1.00 (highest)" in text  # of la_silu-22: 4 / 4; with la_silu-11 it would be 3.5 / 4


def test_all_failed(tmp_path: Path) -> None:
    failed = {f"{activation}-{seed}": f"broken {seed}" for activation, seed in CORRECT}
    markup = reports.write_html(Builder(failed=failed).write(tmp_path)).read_text(encoding="utf-8")
    assert "No checkpoint could be evaluated" in section(markup, "verdict")
    assert "4 failed" in section(markup, "verdict")
    for name in ("leaderboard", "heat", "curves", "profile", "loss", "means"):
        assert "Nothing to show: every checkpoint failed." in section(markup, name)
    assert section(markup, "failed").count("broken 11") == 2


def test_architectures_have_figures_of_their_own(run: Run) -> None:
    frames = {}
    for kind, rows in (("cells", run.cells), ("layers", run.layers)):
        other = rows.assign(architecture="big", checkpoint="big " + rows["checkpoint"])
        frames[kind] = pd.concat([rows, other], ignore_index=True)
    markup = reports.render_html(replace(run, cells=frames["cells"], layers=frames["layers"]))
    assert markup.count('class="plot"') == 2 * PLOTS
    assert markup.count("<h3>big</h3>") == 5
    assert "among the big networks" in section(markup, "verdict")
    assert section(markup, "heat").count("big") == 4
    identifiers = Page(markup).attributes("id")
    assert len(set(identifiers)) == len(identifiers)


def test_importing_reports_loads_neither_torch_nor_matplotlib() -> None:
    code = "import sys, reports; sys.exit(str({'torch', 'matplotlib'} & set(sys.modules) or ''))"
    found = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert found.stderr.strip() == ""
