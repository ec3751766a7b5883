"""Matplotlib, as the reports use it: for files alone, whatever the environment would have it draw on."""

import os
import sys
from contextlib import suppress


def import_matplotlib() -> None:
    """Import matplotlib without MPLBACKEND; call this before any import from it.

    Jupyter and Colab set MPLBACKEND to a module that other environments lack, and matplotlib then refuses to
    be imported. A backend that it does know stays what pyplot uses in this process.
    """
    if "matplotlib" in sys.modules:
        return
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib as mpl  # noqa: PLC0415 -- half a second, needed for figures alone
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend:
        with suppress(ValueError):
            mpl.rcParams["backend"] = backend
