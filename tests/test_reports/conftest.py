"""One small run, written and rendered once."""

from pathlib import Path

import pytest

from reports import Report
from robustbench_act.run import Run, load_run
from tests.build_run import Builder


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Builder().write(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def run(run_dir: Path) -> Run:
    return load_run(run_dir)


@pytest.fixture(scope="session")
def report(run: Run) -> Report:
    return Report(run)


@pytest.fixture(scope="session")
def page(report: Report) -> str:
    return report.html()
