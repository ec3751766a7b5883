"""The typeface of a PDF: the part of DejaVu that a page needs, so that no machine needs fonts installed."""

import base64
import io
from functools import cache
from pathlib import Path

from reports.plotting import import_matplotlib

FACES = {("DejaVu Sans", "normal"): "DejaVuSans.ttf", ("DejaVu Sans", "bold"): "DejaVuSans-Bold.ttf"}
"""Files that ship with matplotlib, by family and weight."""


def font_rules(text: str) -> str:
    """Return @font-face rules with the glyphs of `text`, as data URIs.

    Parameters
    ----------
    text
        The whole page; characters without a glyph are shown as boxes.
    """
    letters = "".join(sorted({*text, *map(chr, range(32, 127))}))
    return "\n".join(
        f'@font-face {{ font-family: "{family}"; font-weight: {weight}; '
        f"src: url(data:font/ttf;base64,{_subset(name, letters)}) format('truetype'); }}"
        for (family, weight), name in FACES.items()
    )


@cache
def _subset(name: str, letters: str) -> str:
    from fontTools import subset  # noqa: PLC0415 -- as slow to load as matplotlib, and for PDFs alone
    from fontTools.ttLib import TTFont  # noqa: PLC0415

    import_matplotlib()
    from matplotlib import get_data_path  # noqa: PLC0415

    font = TTFont(Path(get_data_path()) / "fonts" / "ttf" / name, recalcTimestamp=False)
    options = subset.Options(hinting=False, layout_features=["kern"], notdef_outline=True)
    options.drop_tables += ["FFTM"]
    subsetter = subset.Subsetter(options)
    subsetter.populate(text=letters)
    subsetter.subset(font)
    with io.BytesIO() as file:
        font.save(file)
        return base64.b64encode(file.getvalue()).decode()
