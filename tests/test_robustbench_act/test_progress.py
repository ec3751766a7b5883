"""Progress shows itself where somebody looks, and nowhere else; a stopped call says how to continue."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from robustbench_act.errors import StoppedError
from robustbench_act.evaluation import evaluate
from robustbench_act.training import train
from tests.kernel import Cell, kernel

COUNTED = """
import time
from robustbench_act.progress import choose_bar
with choose_bar(True, log=print) as bar:
    count = bar.start("evaluating", 19_200)
    for image in range(10_000):
        count(1)
    time.sleep(0.3)
    count(200)
    {last}
"""


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cell]:
    with kernel(tmp_path_factory.mktemp("notebook")) as run:
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


def test_a_terminal_gets_a_bar_and_a_pipe_gets_nothing() -> None:
    code = COUNTED.format(last="bar.note('a worker died')")
    ours, theirs = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", code], stderr=theirs, check=True, env={**os.environ, "TERM": "xterm"}
    )
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "evaluating" in shown
    assert "images/s" in shown
    assert "note: a worker died" in shown
    quiet = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert (quiet.stdout, quiet.stderr) == ("a worker died\n", "")


def stop_after(images: int) -> Callable[..., Callable[[int], None]]:
    left = [images]

    def count(done: int) -> None:
        left[0] -= done
        if left[0] < 0:
            raise KeyboardInterrupt

    return lambda *_: count


def test_a_stopped_evaluation_says_what_is_kept(checkpoints: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"dataset": "digits", "suites": ["noise"], "severities": [3], "limit": 20}
    options |= {"out": tmp_path / "run", "device": "cpu", "probes": False}
    with pytest.raises(StoppedError) as stopped:
        evaluate(checkpoints, **options, on_start=stop_after(300))
    kept = len(list(tmp_path.glob("run/parts/*.zip")))
    assert kept > 0
    assert str(stopped.value) == (
        f'Interrupted: {kept} of 5 units are kept; the same call with out="{tmp_path / "run"}" continues.'
    )
    assert isinstance(stopped.value, KeyboardInterrupt)
    assert evaluate(checkpoints, **options).info.status == "complete"


def test_a_stopped_training_says_what_is_complete(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"arch": "cifar:resnet8?width=2", "limit": 100, "epochs": 1, "seeds": 2}
    with pytest.raises(StoppedError, match=f"1 of 2 networks in {tmp_path} are complete; the same"):
        train("digits", **settings, out=tmp_path, on_start=stop_after(200))
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["relu_1.safetensors"]
