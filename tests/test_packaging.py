"""What is in the package that people install, and in the archive of its source."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_studies_come_with_the_source_alone() -> None:
    pytest.importorskip("hatchling")
    from hatchling.builders.sdist import SdistBuilder
    from hatchling.builders.wheel import WheelBuilder

    wheel, source = (
        {Path(file.distribution_path) for file in builder(str(ROOT)).recurse_included_files()}
        for builder in (WheelBuilder, SdistBuilder)
    )
    assert {path.parts[0] for path in wheel} == {"corruptions", "reports", "robustbench_act"}
    assert wheel < source
    assert Path("studies/mnist/study.toml") in source
    assert Path("tests/test_packaging.py") in source
