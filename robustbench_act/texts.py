"""Texts from outside, such as names and paths, in a form that files, terminals and Markdown can hold."""

import re

_SURROGATES = re.compile("[\ud800-\udfff]")
_SPECIAL = re.compile(
    r"(?P<code>:[\w+-]+:|@\w[\w/-]*|#\d+)"  # emoji, people and issues on GitHub
    r"|^(?P<number>\d*)(?P<start>[-+#.)])(?=[\s#])"  # a list or a heading
    r"|(?P<mark>[\\`*{}\[\]<>|~&$]|(?<![^\W_])_|_(?![^\W_]))"  # no mark inside a_word
)


def encodable(text: str) -> str:
    r"""Escape what UTF-8 cannot hold: Python's stand-ins for bytes of a file's name that are not UTF-8.

    >>> encodable("caf\udce9 é")
    'caf\\xe9 é'
    """
    return _SURROGATES.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def printable(text: str) -> str:
    r"""Escape characters that a terminal would obey or cannot show; messages quote files.

    >>> printable("version \x1b[2J")
    'version \\x1b[2J'
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in encodable(text)
    )


def literal_markdown(text: str) -> str:
    r"""Return Markdown that shows a text as it is; what GitHub would make a picture or a link of is code.

    >>> literal_markdown("net[lr=0.1] *new* a|b"), literal_markdown(":smile: @me")
    ('net\\[lr=0.1\\] \\*new\\* a\\|b', '`:smile:` `@me`')
    """
    return _SPECIAL.sub(_literal, printable(" ".join(text.split())))


def _literal(found: re.Match[str]) -> str:
    if found["code"]:
        return f"`{found['code']}`"
    return f"{found['number'] or ''}\\{found['start'] or found['mark']}"
