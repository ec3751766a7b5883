"""One evaluation that many tests read."""

from pathlib import Path

import pytest

from robustbench_act.evaluation import evaluate
from robustbench_act.run import Run


@pytest.fixture(scope="session")
def run(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return an evaluation of the four digits networks on 60 images."""
    out = tmp_path_factory.mktemp("run") / "run"
    return evaluate([checkpoints], dataset="digits", severities=[1, 4], limit=60, device="cpu", out=out)
