"""The PDF report: the same sections on paper, with contents, page numbers and an outline."""

import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

from reports.analysis import Analysis
from reports.errors import ReportError, SectionError
from reports.fonts import font_rules
from reports.html import render, style_rules
from reports.layout import Section

_BASE = "report:/"  # of links inside the page


def pdf_document(analysis: Analysis, sections: list[Section], *, engine: str = "plutoprint") -> bytes:
    """Return the report as a PDF; text can be searched, fonts are embedded.

    It is laid out twice: page numbers for the contents are known after the first time. The same run gives
    the same bytes.

    Parameters
    ----------
    engine
        One of ENGINES.

    Raises
    ------
    ReportError
        If there is no such engine, or it is not installed.
    """
    layout = _engine(engine)
    contents = [(section.title, section.name) for section in sections if section.name != "verdict"]
    appendix = any(section.tables for section in sections)
    contents += [("Appendix: the numbers", "appendix")] if appendix else []
    facts = {"style": style_rules("print.css"), "contents": contents, "appendix": appendix}
    page = partial(render, analysis, sections, "print.html.j2", **facts)
    first = page(pages={})
    fonts = font_rules(first)
    pages = _targets(layout(first, fonts), [place for _, place in contents])
    final = layout(page(pages={place: number + 1 for place, number in pages.items()}), fonts)
    return _finished(final, contents, pages, analysis.run.info.dataset.name)


def _targets(pdf: bytes, places: Sequence[str]) -> dict[str, int]:
    """Return the page (from 0) of each address in the contents."""
    from pypdf import PdfReader  # noqa: PLC0415 -- for PDFs alone

    reader = PdfReader(io.BytesIO(pdf))
    known = reader.named_destinations
    pages = {place: reader.get_destination_page_number(known[place]) for place in places if place in known}
    found = {place: page for place, page in pages.items() if page is not None}
    if len(found) < len(places):
        raise SectionError(f"the PDF lacks the place of {', '.join(sorted({*places} - {*found}))}")
    return found


def _finished(pdf: bytes, contents: Sequence[tuple[str, str]], pages: Mapping[str, int], name: str) -> bytes:
    """Add outline, language and metadata; the same input gives the same bytes."""
    from pypdf import PdfWriter  # noqa: PLC0415
    from pypdf.generic import NameObject, TextStringObject  # noqa: PLC0415

    writer = PdfWriter(clone_from=io.BytesIO(pdf))
    writer.root_object.pop(NameObject("/Outlines"), None)  # WeasyPrint's own has every heading
    writer.add_outline_item(title="Verdict", page_number=0)
    for title, place in contents:
        writer.add_outline_item(title=title, page_number=pages[place])
    writer.root_object[NameObject("/Lang")] = TextStringObject("en")
    title = f"Robustness report: {name}"
    writer.metadata = {"/Title": title, "/Creator": "actrobust", "/Producer": "actrobust"}
    with io.BytesIO() as file:
        writer.write(file)
        return file.getvalue()


def _plutoprint(page: str, fonts: str) -> bytes:
    import plutoprint  # noqa: PLC0415

    outside: list[str] = []

    class Nothing(plutoprint.ResourceFetcher):
        """Fetches what is in the page itself, and nothing else; an error here would only be printed."""

        def fetch_url(self, url: str) -> Any:
            if not url.startswith("data:"):
                outside.append(url)
            return super().fetch_url(url if url.startswith("data:") else "data:,")

    book = plutoprint.Book(plutoprint.PAGE_SIZE_A4)
    book.custom_resource_fetcher = Nothing()
    book.load_html(page, user_style=fonts, base_url=_BASE)
    with io.BytesIO() as file:
        book.write_to_pdf_stream(file)
        if outside:
            raise SectionError(f"the PDF asks for {outside[0]}")
        return file.getvalue()


def _weasyprint(page: str, fonts: str) -> bytes:
    from PIL import ImageFile  # noqa: PLC0415

    strict = ImageFile.LOAD_TRUNCATED_IMAGES
    import weasyprint  # noqa: PLC0415 -- which makes Pillow accept damaged pictures, everywhere
    from weasyprint.text.fonts import FontConfiguration  # noqa: PLC0415

    ImageFile.LOAD_TRUNCATED_IMAGES = strict
    configuration = FontConfiguration()
    style = weasyprint.CSS(string=fonts, font_config=configuration)
    document = weasyprint.HTML(string=page, base_url=_BASE)
    made: bytes = document.write_pdf(stylesheets=[style], font_config=configuration)
    return made


ENGINES: Mapping[str, Callable[[str, str], bytes]] = {"plutoprint": _plutoprint, "weasyprint": _weasyprint}
"""Engines by name: from HTML and the rules of its fonts to a PDF."""


def _engine(name: str) -> Callable[[str, str], bytes]:
    if name not in ENGINES:
        raise ReportError(f"expected a PDF engine ({', '.join(ENGINES)}), got {name!r}")
    if find_spec(name) is None:
        raise ReportError(f"the PDF needs {name}: pip install {name}")
    return ENGINES[name]
