"""A real Jupyter kernel for tests."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from jupyter_client.manager import KernelManager

Message: TypeAlias = tuple[str, dict[str, Any]]
"""The type of an output, and its content."""

Cell: TypeAlias = Callable[[str], list[Message]]
"""Runs a cell and returns its outputs, each update of one as an output of its own."""

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
"""A cell, or a script, that shows progress; `last` is what it does then."""

_NO_OUTPUT = ("status", "execute_input")


@contextmanager
def kernel(folder: Path) -> Iterator[Cell]:
    """Start a kernel in a folder; return the function that runs a cell in it."""
    manager = KernelManager(transport="ipc", ip=str(folder / "kernel"))
    manager.start_kernel(cwd=str(folder), env={**os.environ, "IPYTHONDIR": str(folder / ".ipython")})
    client = manager.client()
    client.start_channels()

    def run(source: str) -> list[Message]:
        outputs = list[Message]()

        def keep(message: Any) -> None:
            if message["msg_type"] not in _NO_OUTPUT:
                outputs.append((message["msg_type"], message["content"]))

        client.execute_interactive(source, output_hook=keep, timeout=300)
        return outputs

    try:
        client.wait_for_ready(timeout=60)
        yield run
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
