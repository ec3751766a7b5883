"""Plurals, lists, numbers and capitals in sentences."""

from collections.abc import Iterable, Sequence


def count(amount: int, noun: str) -> str:
    """Return an amount with its noun, in the plural if needed.

    >>> count(1, "seed"), count(1000, "image"), count(3, "severity")
    ('1 seed', '1,000 images', '3 severities')
    """
    if amount == 1:
        return f"1 {noun}"
    return f"{amount:,} {noun.removesuffix('y') + 'ies' if noun.endswith('ty') else noun + 's'}"


def joined(names: Sequence[object]) -> str:
    """Return a list as people write it.

    >>> joined([1, 3, 5])
    '1, 3 and 5'
    """
    words = [str(name) for name in names]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def some(names: Sequence[object], shown: int = 3) -> str:
    """Return the first names, and how many more there are.

    >>> some(["a", "b"]), some("abcde"), some("abcd")
    ('a and b', 'a, b, c and 2 more', 'a, b, c and d')
    """
    if len(names) <= shown + 1:
        return joined(names)
    return f"{', '.join(map(str, names[:shown]))} and {len(names) - shown} more"


def numbers(values: Iterable[float]) -> str:
    """Return numbers as options take them.

    >>> numbers((0.5, 1.0))
    '0.5,1'
    """
    return ",".join(f"{value:g}" for value in values)


def upper_first(text: str) -> str:
    """Return a text with its first letter as a capital; names inside stay as they are.

    >>> upper_first("noise"), upper_first("VGG16")
    ('Noise', 'VGG16')
    """
    return text[:1].upper() + text[1:]
