"""Names are shown as they are, whatever letters they have."""

import re

import pytest
from markdown_it import MarkdownIt

from robustbench_act.texts import encodable, literal_markdown, printable

NAMES = [
    "net[lr=0.1](x)",
    "**bold** _it_ __x__ snake_case a*b*c",
    "a|b ~~c~~ <b>&lt; &amp; `code` ``",
    "\\[x\\] $x$ {y}",
    ":smile: :+1: a:b:c 12:30:05",
    "@somebody/team #12 x#3",
    "# heading",
    "12. item",
    "- item",
    "+ 1) x",
    "> quote",
    "![a](b.png) [c]: d",
    "Ü 網 “ﬁ”",
]


def plain(markup: str) -> str:
    """Return the text of a rendered page; only code may be marked up in it."""
    page = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markup)
    left = re.sub(r"</?(p|ul|li|code|table|thead|tbody|tr|th|td)>", "", page).strip()
    assert not re.search("<[a-z]", left), page
    for entity, letter in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        left = left.replace(entity, letter)
    return left


@pytest.mark.parametrize("name", NAMES)
def test_markdown_shows_a_name_as_it_is(name: str) -> None:
    """A renderer of CommonMark is the judge: in a paragraph, in a list, and in a cell."""
    literal = literal_markdown(name)
    assert plain(literal) == plain(f"- {literal}") == name
    assert re.sub(r"\s+", " ", plain(f"| h | i |\n|---|---|\n| {literal} | b |")) == f"h i {name} b"


def test_what_github_would_replace_is_code() -> None:
    page = MarkdownIt("commonmark").render(literal_markdown(":smile: for @somebody in #12"))
    assert re.findall("<code>(.*?)</code>", page) == [":smile:", "@somebody", "#12"]


def test_bytes_that_are_not_utf_8_are_shown_by_their_numbers() -> None:
    name = b"caf\xe9 \xf0\x9f\x90\x8d".decode("utf-8", "surrogateescape")
    assert encodable(name) == "caf\\xe9 \N{SNAKE}"
    assert printable(name + "\n\u202e\x07") == "caf\\xe9 \N{SNAKE}\\n\\u202e\\x07"
    assert encodable("\ud800") == "\\ud800"
