"""What a notebook shows, in a real kernel."""

import base64
import html
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from robustbench_act.run import load_run
from tests.build_run import CORRECT, CORRUPTIONS, Builder
from tests.kernel import COUNTED, Cell, kernel


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = Builder({key: own[:3] for key, own in CORRECT.items()}, corruptions=CORRUPTIONS[:1], probes=False)
    small.failed = {"relu-22": "<b>OutOfMemory</b>"}
    return small.write(tmp_path_factory.mktemp("notebook") / "run")


@pytest.fixture(scope="module")
def cell(run_dir: Path) -> Iterator[Cell]:
    with kernel(run_dir.parent) as run:
        run("import robustbench_act; run = robustbench_act.load_run('run')")
        yield run


def test_a_notebook_gets_one_output_that_is_updated(cell: Cell) -> None:
    """Now and then, not for each image, and at the end in any case; markup in names is text."""
    (kind, first), *updates = cell(COUNTED.format(last="bar.rename('<i>la_silu'); count(9_000)"))
    assert kind == "display_data"
    assert {kind for kind, _ in updates} == {"update_display_data"}
    assert len({content["transient"]["display_id"] for content in (first, *(own for _, own in updates))}) == 1
    texts = [content["data"]["text/plain"] for _, content in updates]
    assert 2 <= len(texts) < 100
    assert re.fullmatch(r"evaluating: 10,200 of 19,200 images, [\d,]+ images/s, 0:\d\d left", texts[-2])
    assert re.fullmatch(r"<i>la_silu: 19,200 of 19,200 images in 0:\d\d", texts[-1])
    page = updates[-1][1]["data"]["text/html"]
    assert 'max="19200" value="19200"' in page
    assert "&lt;i&gt;la_silu" in page


def test_an_error_ends_the_bar_and_stays_the_error(cell: Cell) -> None:
    outputs = cell(COUNTED.format(last="bar.note('a worker died'); {}['key']"))
    assert [kind for kind, _ in outputs][-3:] == ["stream", "update_display_data", "error"]
    assert outputs[-3][1] == {"name": "stdout", "text": "note: a worker died\n"}
    last = outputs[-2][1]["data"]["text/plain"]
    assert re.fullmatch(r"evaluating: 10,200 of 19,200 images in 0:\d\d, stopped", last)
    assert outputs[-1][1]["ename"] == "KeyError"
    assert len(outputs[-1][1]["traceback"]) > 1


def test_our_errors_are_one_line_in_a_notebook(cell: Cell) -> None:
    """And name the line of the user's that raised what is behind them; errors of others are as ever."""
    ((kind, content),) = cell("from robustbench_act import load_run; load_run('nowhere')")
    assert (kind, content["ename"]) == ("error", "InputError")
    assert content["traceback"] == ["InputError: nowhere: does not exist."]
    ((_, content),) = cell("""if True:
        from robustbench_act.errors import InputError
        def mine(images):
            return images["left"]
        try:
            mine({})
        except KeyError as error:
            raise InputError("mine: failed:\\nKeyError") from error""")
    assert content["traceback"] == ["InputError: mine: failed: KeyError (mine, line 4)"]


def test_figures_show_themselves(cell: Cell) -> None:
    """Also those of later cells: the first one has matplotlib choose its backend."""
    for line in ("run.plot.severity();", "run.plot.heat();"):
        ((kind, content),) = cell(line)
        assert kind == "display_data"
        picture = Image.open(io.BytesIO(base64.b64decode(content["data"]["image/png"])))
        assert picture.size[0] > 400
        assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)  # the notebook may be dark


def test_a_run_shows_its_leaderboard(cell: Cell) -> None:
    ((kind, content),) = cell("run")
    assert kind == "execute_result"
    assert content["data"]["text/plain"].startswith("<Run run: 4 checkpoints")
    page = content["data"]["text/html"]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", page)]
    assert rows[0][:5] == ["#", "activation", "seeds", "clean", "corrupted"]
    assert rows[1][:4] == ["1", "LA-SiLU", "2", "95.0"]
    assert "failed: relu-22: &lt;b&gt;OutOfMemory&lt;/b&gt;" in page
    assert "color" not in page


def test_the_report_is_shown_inside(cell: Cell, run_dir: Path) -> None:
    """The file's page; what it does in a browser is shown by `test_browser`."""
    ((kind, content),) = cell("run.show(height=345)")
    assert (kind, content["data"]["text/plain"]) == ("display_data", "Report of run")
    (source,) = re.findall(r'<iframe [^>]*srcdoc="([^"]*)"[^>]* height: 345px', content["data"]["text/html"])
    (file,) = load_run(run_dir).report()
    assert html.unescape(source).replace('<base href="about:srcdoc">', "") == file.read_text()


def test_a_script_gets_the_path_of_the_report(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run_dir / "report.html").unlink(missing_ok=True)
    load_run(run_dir).show()
    assert capsys.readouterr().out == f"{run_dir / 'report.html'}\n"
    assert (run_dir / "report.html").is_file()
