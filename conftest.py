"""What examples in docstrings use without making it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.build_run import Builder

_WITH_A_RUN = ("reports.plots", "robustbench_act.run")


@pytest.fixture(autouse=True)
def a_run_in_examples(request: pytest.FixtureRequest, doctest_namespace: dict[str, Any]) -> Iterator[None]:
    """The examples of some modules have a finished `run`; figures that they make are closed."""
    if not request.node.name.startswith(_WITH_A_RUN):
        yield
        return
    from matplotlib import pyplot as plt

    doctest_namespace["run"] = Builder().run()
    yield
    plt.close("all")
