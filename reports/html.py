"""The HTML page: sections laid out for a screen, in one self-contained file."""

import base64
import hashlib
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from reports.analysis import Analysis
from reports.layout import Section
from reports.names import label, label_and_run
from reports.number_formats import number, percent
from reports.style import shade_rules
from robustbench_act.english import upper_first


def html_page(analysis: Analysis, sections: list[Section]) -> str:
    """Return the report as one HTML page that loads nothing from outside.

    The same run gives the same bytes. Only one script is executed, our own (sorting,
    filtering), which the page's Content-Security-Policy admits by its hash; without it the page is complete.
    """
    script = asset("report.js")
    return render(
        analysis,
        sections,
        "screen.html.j2",
        style=style_rules(),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def render(analysis: Analysis, sections: list[Section], template: str, **more: Any) -> str:
    """Return a page laid out by one of the templates."""
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,  # a misspelt name in the template is an error, not a gap in the page
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, number=number, breakable=_breakable, label=label)
    environment.filters.update(label_and_run=label_and_run, evenly=_evenly, upper_first=upper_first)
    infos = [run.info for run in analysis.members.values()] or [analysis.run.info]
    return environment.get_template(template).render(
        info=analysis.run.info,
        created=", ".join(dict.fromkeys(info.created[:10] for info in infos if info.created)),
        version=infos[0].version if len({info.version for info in infos}) == 1 else "",
        architectures=analysis.architectures,
        legend=analysis.legend,
        measure=analysis.measure,
        words=analysis.words,
        sections=sections,
        **more,
    )


def style_rules(*more: str) -> Markup:
    """Return the style sheet: rules for screen and paper, our shades, and further files."""
    shades = Markup(shade_rules())  # noqa: S704 -- our own colours
    return Markup("\n").join([asset("report.css"), shades, *map(asset, more)])


def asset(name: str) -> Markup:
    """Return the text of one of our own files, which the page may hold unescaped."""
    return Markup((resources.files("reports") / "templates" / name).read_text(encoding="utf-8"))  # noqa: S704


def _evenly(things: Sequence[object], most: int | None) -> list[tuple[int, int]]:
    """Return first and last place of parts of at most `most`, as even as possible; one part for None.

    >>> _evenly("abcdefg", 3), _evenly("abc", None)
    ([(0, 2), (2, 4), (4, 7)], [(0, 3)])
    """
    total = len(things)
    parts = 1 if most is None else max(1, -(-total // most))
    return [(total * place // parts, total * (place + 1) // parts) for place in range(parts)]


def _breakable(name: object) -> Markup:
    """Escape a name and let it break after underscores, and dots before letters, if a column is narrow."""
    return Markup(re.sub(r"_|\.(?=[A-Za-z])", r"\g<0><wbr>", str(escape(name))))  # noqa: S704 -- escaped before
