"""The page in a real browser: offline, by keyboard, at any width, without scripts, and on paper."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import reports
from robustbench_act.notebook import frame_html
from tests.build_run import CORRECT, Builder

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e '.[dev]'")

EVIL = "<script>alert(1)</script>"
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
OPTIONS += ["--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=path, args=OPTIONS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reports.write_html(Builder().write(tmp_path_factory.mktemp("browser")))


def test_the_page_works_in_a_notebook(browser: Any, file: Path, tmp_path: Path) -> None:
    """In the frame that `run.show` makes: scripts run, and links lead to parts of the page."""
    frame = frame_html(file.read_text(), title="Report", height=500)
    (tmp_path / "notebook.html").write_text(f'<!doctype html><meta charset="utf-8"><h1>Cell</h1>{frame}')
    with Watched(browser, tmp_path / "notebook.html") as page:
        inside = page.frames[1]
        assert inside.locator("form.filter").is_visible()
        inside.locator("nav a[href='#heat']").click()
        inside.wait_for_function("document.querySelector('#heat').getBoundingClientRect().top < 300")
        assert inside.url == "about:srcdoc#heat"
        assert page.url.endswith("notebook.html")


class Watched:
    """A page with all that it asked for and complained of."""

    def __init__(self, browser: Any, file: Path, **options: Any) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.context = browser.new_context(offline=True, **options)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())

    def __enter__(self) -> Any:
        return self.page

    def __exit__(self, *error: object) -> None:
        self.context.close()
        assert self.complaints == []
        assert [url for url in self.requests if not url.startswith(("data:", "file:", "about:"))] == []


def visible(page: Any, selector: str) -> int:
    """Count what can be seen."""
    return sum(element.is_visible() for element in page.query_selector_all(selector))


def test_nothing_is_asked_for_and_nothing_complains(browser: Any, file: Path) -> None:
    with Watched(browser, file) as page:
        assert page.title() == "Robustness report: toy"
        assert visible(page, "section") == 15


def test_columns_sort_by_keyboard(browser: Any, file: Path) -> None:
    with Watched(browser, file) as page:
        head = page.locator("table.board th", has_text="Clean").first
        head.locator("button").focus()
        for state, order in (("descending", ["ReLU", "LA-SiLU"]), ("ascending", ["LA-SiLU", "ReLU"])):
            page.keyboard.press("Enter")  # on clean images 96 and 95 % are right
            assert head.get_attribute("aria-sort") == state
            names = page.locator("table.board tbody th").all_inner_texts()
            assert [name.strip() for name in names] == order


def test_filters_by_keyboard(browser: Any, file: Path) -> None:
    with Watched(browser, file) as page:
        everything = visible(page, "main [data-activation]")
        page.locator("input[value=relu]").focus()
        page.keyboard.press("Space")
        assert visible(page, "main [data-activation=relu]") == 0
        assert 0 < visible(page, "main [data-activation=la_silu]") < everything
        assert "Showing 1 of 2 activations" in page.locator(".state").inner_text()
        assert visible(page, ".legend .family:has-text('rectifier')") == 0  # a family with nobody left
        assert visible(page, ".legend .family:has-text('LayerAct')") > 0
        page.keyboard.press("Space")
        assert visible(page, "main [data-activation]") == everything


def test_many_runs_are_filtered_one_by_one(browser: Any, tmp_path: Path) -> None:
    paths = [Builder().write(tmp_path / name) for name in ("old", "new")]
    (file,) = reports.make_report(*paths).write(tmp_path)
    with Watched(browser, file) as page:
        rows, changes = ".between tbody tr", ".changes tr:has-text('fog') td"
        assert visible(page, changes) == 3  # the mean and two activations
        assert visible(page, rows) == 2
        page.locator("select[name=severity]").select_option("1")
        assert visible(page, rows) == 2
        page.locator("input[value='relu ⟨2⟩ new']").uncheck()
        assert visible(page, rows) == 1
        assert visible(page, changes) == 2
        assert visible(page, ".board tr:has-text('ReLU')") == 1  # the old one


def test_on_a_small_screen_the_choice_is_folded(browser: Any, file: Path) -> None:
    with Watched(browser, file) as page:
        assert page.locator("input[value=relu]").is_visible()
        page.set_viewport_size({"width": 360, "height": 700})
        page.reload()
        assert not page.locator("input[value=relu]").is_visible()
        page.locator(".filter summary").focus()
        page.keyboard.press("Enter")
        assert page.locator("input[value=relu]").is_visible()


def test_a_severity_changes_the_heat_map(browser: Any, file: Path) -> None:
    """Value, shade and caption; 40 of 200 images are right with relu-11 under gaussian noise at 5."""
    with Watched(browser, file) as page:
        cell = page.locator("tr[data-corruption=gaussian_noise] td[data-activation=relu]").first
        assert cell.inner_text() == "47.5"  # (150 + 40) of 400, of relu-11
        page.locator("select[name=severity]").focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        assert cell.inner_text() == "20.0"
        assert cell.get_attribute("class") == "h8"
        assert "at severity 5" in page.locator("#heat-caption").inner_text()


def test_a_suite_hides_the_corruptions_of_others(browser: Any, tmp_path: Path) -> None:
    builder = Builder()
    folder = builder.write(tmp_path)
    for path in (folder / "cells").glob("*.parquet"):
        cells = pd.read_parquet(path)
        cells.loc[cells["corruption"] == "fog", "suite"] = "other"
        both = cells[cells["corruption"] == "impulse_noise"].assign(suite="other")  # in two suites
        pd.concat([cells, both]).to_parquet(path)
    info = {**builder.run_json(), "suites": [{"name": "core"}, {"name": "other"}]}
    (folder / "run.json").write_text(json.dumps(info))
    with Watched(browser, reports.write_html(folder)) as page:
        page.locator("select[name=suite]").select_option("other")
        assert visible(page, "figure[data-corruption=fog]") == 1
        assert visible(page, "figure[data-corruption=impulse_noise]") == 1
        assert visible(page, "[data-corruption=gaussian_noise]") == 0
        page.locator("select[name=suite]").select_option("core")
        assert visible(page, "[data-corruption=fog]") == 0
        assert visible(page, "h3:has-text('Weather')") == 0  # nor its heading
        page.locator("section:has(#curves) summary").click()
        assert visible(page, "#curves ~ details tbody tr:has-text('impulse_noise')") == 2
        assert visible(page, "#curves ~ details tbody tr:has-text('fog')") == 0  # nor its numbers
        assert visible(page, "figure[data-corruption=impulse_noise]") == 1


def test_who_comes_back_finds_what_the_boxes_say(browser: Any, file: Path) -> None:
    with Watched(browser, file) as page:
        page.locator("input[value=relu]").uncheck()
        page.goto("about:blank")
        page.go_back()
        checked = page.locator("input[value=relu]").is_checked()
        assert (visible(page, "main [data-activation=relu]") > 0) == checked


def test_without_scripts_everything_is_there(browser: Any, file: Path) -> None:
    with Watched(browser, file, java_script_enabled=False) as page:
        assert page.locator("section").count() == 15
        assert page.locator("form.filter").is_hidden()
        assert page.locator("svg.plot").count() == 19
        page.locator("main summary").first.click()
        assert page.locator("details table").first.is_visible()


def test_on_paper_what_is_folded_is_open(browser: Any, file: Path) -> None:
    with Watched(browser, file) as page:
        page.emulate_media(media="print")
        assert visible(page, "details table") == page.locator("details table").count() > 5
        assert page.locator("nav").is_hidden()


def test_the_page_never_scrolls_sideways(browser: Any, tmp_path: Path) -> None:
    long = {(f"an_activation_with_a_name_of_sixty_characters_and_some_{place:02}", 1): counts
            for place, counts in enumerate([CORRECT["relu", 11]] * 9)}  # fmt: skip
    file = reports.write_html(Builder(correct=long).write(tmp_path))
    for width in (360, 768, 1440):
        with Watched(browser, file, viewport={"width": width, "height": 900}) as page:
            assert page.evaluate("document.scrollingElement.scrollWidth") <= width


def test_names_are_harmless(browser: Any, tmp_path: Path) -> None:
    correct = {(EVIL, 1): CORRECT["relu", 11], ("../../etc/passwd", 2): CORRECT["relu", 22]}
    builder = Builder(
        correct=correct, architecture="../net", corruptions=((EVIL, "a"), ("fog", "b"), ("c", EVIL))
    )
    with Watched(browser, reports.write_html(builder.write(tmp_path))) as page:
        assert EVIL in page.locator("table.board").inner_text()
        page.locator("input[name=activation]").first.uncheck()


@pytest.mark.parametrize("media", ["screen", "print"])
def test_axe_finds_nothing_serious(media: str, browser: Any, file: Path) -> None:
    source = os.environ.get("AXE_CORE")
    if source is None:
        pytest.skip("needs axe-core: npm install axe-core, and its axe.min.js named by AXE_CORE")
    with Watched(browser, file) as page:
        page.emulate_media(media=media)
        page.evaluate(Path(source).read_text(encoding="utf-8"))
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        serious = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
        assert [(one["id"], one["nodes"][0]["html"]) for one in serious] == []
