"""The PDF: every number can be found in it, links lead where they say, and no machine needs fonts."""

import io
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import ImageFile
from pypdf import PdfReader

import reports
from reports import Report, ReportError, SectionError, make_report
from reports.fonts import font_rules
from reports.pdf import ENGINES
from robustbench_act.run import load_run
from tests.build_run import CORRECT, Builder

TITLES = ["Verdict", "Leaderboard", "Where accuracy is lost", "Accuracy by severity"]
TITLES += ["How often each accuracy is reached"]
TITLES += ["Clean against corrupted accuracy", "Which differences are sure?", "Class by class"]
TITLES += [
    "Fluctuation, layer by layer",
    "What goes with lost accuracy",
    "Activation means, layer by layer",
]
TITLES += ["Signals and gradients, layer by layer", "What the networks saw", "Provenance", "Glossary"]
TITLES += ["Appendix: the numbers"]


@pytest.fixture(scope="module")
def pdf(report: Report) -> bytes:
    return report.pdf()


@pytest.fixture(scope="module")
def reader(pdf: bytes) -> PdfReader:
    return PdfReader(io.BytesIO(pdf))


def text_of(reader: PdfReader) -> str:
    return " ".join(" ".join(page.extract_text() for page in reader.pages).split())


def squeezed(text: str) -> str:
    """Return a text without spaces: where lines break nobody can say."""
    return re.sub(r"\s+", "", text)


def test_every_cell_of_every_table_is_found(report: Report, reader: PdfReader) -> None:
    text = squeezed(text_of(reader))
    tables = [table for section in report.sections for table in section.tables]
    assert len(tables) >= 7
    for table in tables:
        cells = [cell for row in [table.headings, *table.rows] for cell in row]
        assert len(cells) > 10
        missing = [cell for cell in cells if squeezed(cell) not in text]
        assert missing == [], table.caption


def test_every_accuracy_of_the_heat_map_is_found(report: Report, reader: PdfReader) -> None:
    text = text_of(reader)
    for value in report.analysis.grid.means[:, :, 0].ravel():
        assert f"{100 * value:.1f}" in text


def test_every_change_between_runs_is_found(tmp_path: Path) -> None:
    later = {key: tuple(count - place for place, count in enumerate(own)) for key, own in CORRECT.items()}
    runs = Builder().write(tmp_path / "old"), Builder(correct=later).write(tmp_path / "new")
    report = make_report(*runs)
    text = squeezed(text_of(PdfReader(io.BytesIO(report.pdf()))))
    found = {section.name: section.content for section in report.sections}
    rows = [row for block in found["between"]["maps"][0]["blocks"] for row in block["rows"]]
    lines = ["".join(cell["text"] for cell in row["cells"]) for row in rows]
    assert len(lines) == 4
    assert [line for line in lines if line not in text] == []
    assert all(row["changes"][0]["text"] in text for row in found["classes"]["rows"])


def outline(reader: PdfReader) -> list[tuple[str, int]]:
    """Return title and page, from 0."""
    entries: list[Any] = list(reader.outline)
    return [(str(entry.title), int(reader.get_destination_page_number(entry) or 0)) for entry in entries]


def test_contents_outline_and_pages_agree(reader: PdfReader) -> None:
    found = outline(reader)
    assert [title for title, _ in found] == TITLES
    contents = reader.pages[0].extract_text() + reader.pages[1].extract_text()
    for title, place in found:
        assert squeezed(title.lower()) in squeezed(reader.pages[place].extract_text().lower())
        if title != "Verdict":
            assert re.search(rf"{re.escape(title)}\s*{place + 1}\b", contents), title
    numbers = [place for _, place in found]
    assert numbers == sorted(numbers)
    assert numbers[-1] > 3


def test_links_lead_to_places_that_are_there(reader: PdfReader) -> None:
    places = set(reader.named_destinations)
    wanted = {
        str(link.get_object()["/Dest"])
        for page in reader.pages
        for link in page.get("/Annots") or []
        if "/Dest" in link.get_object()
    }
    assert len(wanted) > 15
    assert wanted <= places


def test_it_says_what_it_is(reader: PdfReader) -> None:
    assert reader.metadata is not None
    assert reader.metadata.title == "Robustness report: toy"
    assert str(reader.root_object["/Lang"]) == "en"
    assert f"1 / {len(reader.pages)}" in reader.pages[0].extract_text()


def fonts(reader: PdfReader) -> list[Any]:
    found = {}
    for page in reader.pages:
        for name, font in page["/Resources"].get("/Font", {}).items():  # type: ignore[attr-defined]
            found[name, str(font.get_object()["/BaseFont"])] = font.get_object()
    return list(found.values())


def test_fonts_are_embedded(reader: PdfReader) -> None:
    own = fonts(reader)
    assert own
    for font in own:
        descendant = font["/DescendantFonts"][0].get_object() if "/DescendantFonts" in font else font
        descriptor = descendant["/FontDescriptor"].get_object()
        assert {"/FontFile", "/FontFile2", "/FontFile3"} & set(descriptor)
        assert "DejaVu" in font["/BaseFont"]


def test_a_machine_without_fonts_writes_the_same(run_dir: Path, pdf: bytes, tmp_path: Path) -> None:
    nothing = tmp_path / "fonts.conf"
    nothing.write_text(
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig></fontconfig>'
    )
    code = f"import reports; print(reports.make_report({str(run_dir)!r}).write({str(tmp_path)!r}, ['pdf']))"
    environment = {**os.environ, "FONTCONFIG_FILE": str(nothing), "PYTHONHASHSEED": "5"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True)
    assert (tmp_path / "report.pdf").read_bytes() == pdf


@pytest.fixture(scope="module", params=[27, 45])
def long(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Report, PdfReader]:
    """A report of so many activations, and its PDF."""
    correct = {(f"act{place:02}", 1): CORRECT["relu", 11] for place in range(request.param)}
    report = Report(load_run(Builder(correct=correct).write(tmp_path_factory.mktemp("long"))))
    return report, PdfReader(io.BytesIO(report.pdf()))


def test_table_heads_are_repeated(long: tuple[Report, PdfReader]) -> None:
    pages = [page.extract_text() for page in long[1].pages]
    severities = [page for page in pages if page.count("gaussian_noise") + page.count("impulse_noise") > 12]
    assert len(severities) > 1
    for page in severities:
        assert "Severity 5" in page
        assert "Accuracy in %, mean over training seeds" in page


def lowest(page: Any) -> str:
    """Return the last line above the foot of a page."""
    lines: dict[float, str] = defaultdict(str)

    def keep(text: str, matrix: list[float], own: list[float], *_: object) -> None:
        height = matrix[1] * own[4] + matrix[3] * own[5] + matrix[5]
        lines[round(height)] += text.strip()

    page.extract_text(visitor_text=keep)
    foot, last = sorted(height for height, text in lines.items() if text)[:2]
    assert "robustness report" in lines[foot]
    return lines[last]


def test_a_digest_stands_on_one_line(tmp_path: Path) -> None:
    digest = "0123456789abcdef" * 4
    folder = Builder().write(tmp_path)
    info = json.loads((folder / "run.json").read_text())
    for entry in info["checkpoints"]:
        entry["digest"] = digest
    (folder / "run.json").write_text(json.dumps(info))
    pages = PdfReader(io.BytesIO(make_report(folder).pdf())).pages
    assert sum(page.extract_text().count(digest) for page in pages) == len(CORRECT)


def test_no_heading_of_a_table_stands_alone(long: tuple[Report, PdfReader]) -> None:
    """Whatever stands before it, no page ends with a table's title or head."""
    report, reader = long
    pages = reader.pages
    first = max(at for at, page in enumerate(pages) if "Appendix: the numbers" in page.extract_text())
    tables = [table for section in report.sections for table in section.tables]
    titles = {squeezed(text) for table in tables for text in (table.caption, "".join(table.headings))}
    ends = [squeezed(lowest(page)) for page in pages[first:]]
    assert len(ends) > 8
    assert titles.isdisjoint(ends)


def test_the_second_engine_has_the_same_text(tmp_path: Path) -> None:
    report = make_report(Builder(probes=False).write(tmp_path))  # figures take it a second each
    try:
        other = PdfReader(io.BytesIO(report.pdf(engine="weasyprint")))
    except SectionError as error:
        if not isinstance(error.__cause__, OSError):  # what a missing library raises
            raise
        pytest.skip(f"needs the system's Pango: {error}")
    assert not ImageFile.LOAD_TRUNCATED_IMAGES  # WeasyPrint sets it, and damaged pictures pass for whole ones
    text = squeezed(text_of(other))
    for table in (table for section in report.sections for table in section.tables):
        assert [cell for row in table.rows for cell in row if squeezed(cell) not in text] == []
    assert [title for title, _ in outline(other)] == TITLES


def test_unknown_engines_and_formats_are_refused(report: Report, tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"expected a PDF engine \(plutoprint, weasyprint\), got 'word'"):
        report.pdf(engine="word")
    with pytest.raises(ReportError, match="expected formats of html, pdf, got odt"):
        report.write(tmp_path, ["html", "odt"])
    with pytest.raises(ReportError, match="got none"):
        report.write(tmp_path, [])
    assert list(tmp_path.iterdir()) == []


def test_a_font_has_the_glyphs_of_the_page_and_little_else() -> None:
    small, larger = (len(font_rules(text)) for text in ("", "ρ′∑ŷâμ"))
    assert small < larger < small + 10_000
    assert font_rules("ρ") == font_rules("ρρ")


LONG = "a_name_of_sixty_characters_or_so_that_has_no_end_and_no_space"
VARIANTS: dict[str, dict[str, Any]] = {
    "failed cells": {"failed": {"la_silu-22": "out of ink"}},
    "all failed": {"failed": {f"{name}-{seed}": "out of ink" for name, seed in CORRECT}},
    "one checkpoint": {"correct": {("relu", 11): CORRECT["relu", 11]}},
    "no layers": {"probes": False},
    "long names": {
        "correct": {(f"{LONG}_{place}", 1): CORRECT["relu", 11] for place in range(20)},
        "architecture": LONG,
        "corruptions": ((LONG, "noise"), (f"{LONG}2", "noise"), ("fog", LONG)),
    },
    "evil names": {
        "correct": {("<script>alert(1)</script>", 1): CORRECT["relu", 11], ("../x", 2): CORRECT["relu", 22]},
        "corruptions": (("<b>", "noise"), ("../../y", "noise"), ("fog", "&amp;")),
    },
}


@pytest.mark.parametrize(
    ("name", "runs"), [(name, 2 if "names" in name or name == "failed cells" else 1) for name in VARIANTS]
)
def test_nothing_is_cut_off_or_shrunk(name: str, runs: int, tmp_path: Path) -> None:
    """Every cell of every table is there; a page too wide would shrink all: the title has its 22 points."""
    paths = [tmp_path / f"{place}_{LONG}"[:60] for place in range(runs)]
    report = reports.make_report(*(Builder(**VARIANTS[name]).write(path) for path in paths))
    found = PdfReader(io.BytesIO(report.pdf()))
    sizes = []

    def look(text: str, page: Any, line: Any, _: Any, size: float) -> None:
        if text.startswith("How robust"):
            sizes.append(abs(size * line[3] * page[3]))

    found.pages[0].extract_text(visitor_text=look)
    assert sizes == [pytest.approx(22, abs=0.1)]
    text = squeezed(text_of(found))
    for table in (table for section in report.sections for table in section.tables):
        assert [cell for row in table.rows for cell in row if squeezed(cell) not in text] == [], table.caption


def test_images_without_labels(tmp_path: Path) -> None:
    folder = Builder().write(tmp_path)
    for path in (folder / "cells").glob("*.parquet"):
        cells = pd.read_parquet(path)
        cells.assign(correct=None, accuracy=None).to_parquet(path)
    images = pd.read_parquet(folder / "images.parquet")
    images.assign(label=pd.array([None] * len(images), dtype="Int64")).to_parquet(folder / "images.parquet")
    report = make_report(folder)
    text = text_of(PdfReader(io.BytesIO(report.pdf())))
    assert "The images have no labels, so there are no classes to tell apart." in text
    assert "Where agreement is lost" in text
    assert "accuracy" not in text.lower().replace("agreement stands for accuracy", "").replace(
        "takes the place of accuracy", ""
    )


def test_nothing_outside_the_page_is_fetched() -> None:
    with pytest.raises(SectionError, match=r"the PDF asks for http://example\.invalid/a\.png"):
        ENGINES["plutoprint"]('<img src="http://example.invalid/a.png">', "")
