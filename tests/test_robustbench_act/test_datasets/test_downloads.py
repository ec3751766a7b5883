"""--download, with a server on this machine in the place of torchvision's mirrors."""

import functools
import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from torchvision.datasets import MNIST

from robustbench_act.datasets import load_dataset
from robustbench_act.errors import InputError
from tests.test_robustbench_act.test_datasets.test_idx import write


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a line for each request."""

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder that is MNIST's only mirror; its files are the small ones of the tests."""
    folder = tmp_path / "mirror"
    write(folder, packed=True)
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
    ) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        files = sorted(folder.iterdir())
        sums = [(file.name, hashlib.md5(file.read_bytes()).hexdigest()) for file in files]
        monkeypatch.setattr(MNIST, "resources", sums)
        yield folder
        server.shutdown()


def test_missing_files_are_downloaded_once_and_nothing_unasked(
    mirror: Path, tmp_path: Path, actrobust: Callable[..., Result]
) -> None:
    """Stdout has the answer alone: torchvision's bar goes to stderr."""
    line = ["generate", f"mnist:{tmp_path / 'data'}", "--suite", "light", "--severity", 1, "--out", "out"]
    refused = actrobust(*line)
    assert refused.exit_code == 2
    assert "or add --download" in refused.stderr
    assert not (tmp_path / "data").exists()
    done = actrobust(*line, "--download")
    assert done.exit_code == 0, done.output
    assert done.stdout == "out\n"
    assert load_dataset(f"mnist:{tmp_path / 'data'}").digest == load_dataset(f"mnist:{mirror}").digest
    for file in mirror.iterdir():
        file.unlink()
    write(tmp_path / "flat", packed=True)  # torchvision looks for files elsewhere
    for folder in ("data", "flat"):
        assert len(load_dataset(f"mnist:{tmp_path / folder}", train=True, download=True)) == 20


def test_a_download_that_fails_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, actrobust: Callable[..., Result]
) -> None:
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:1/"])
    failed = actrobust("evaluate", "--dataset", f"mnist:{tmp_path / 'data'}", "--download")
    assert failed.exit_code == 2
    *_, last = failed.stderr.splitlines()
    assert f"Dataset 'mnist': the download into {tmp_path / 'data'} failed: Error downloading train-" in last
    assert "Connection refused" in last


@pytest.mark.parametrize("name", ["imagenet", "digits", "cifar-10-c", "mine:photos"])
def test_only_sets_with_a_download_take_it(name: str) -> None:
    with pytest.raises(InputError, match=r"--download: expected cifar-10, .*, mnist, got .*no download"):
        load_dataset(name, download=True)
