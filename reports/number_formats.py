"""How numbers are written: shares in %, points, p-values, and what stands for a missing one."""

import math
from typing import Any

import pandas as pd


def _hundredths(share: float) -> float:
    """Return a share in percent, without the last bits: sums in different orders are shown as one number."""
    return round(100 * share, 9)


def percent(share: Any) -> str:
    """Return a share as percent with one decimal and no sign; "n/a" for a missing one.

    >>> percent(0.12345), percent(0.0125), percent(0.0125 + 1e-16), percent(float("nan"))
    ('12.3', '1.2', '1.2', 'n/a')
    """
    return "n/a" if pd.isna(share) else f"{_hundredths(share):.1f}"


def number(value: Any) -> str:
    """Return a number with three significant digits; "n/a" for a missing one.

    >>> number(0.27), number(123.4), number(float("nan"))
    ('0.270', '123', 'n/a')
    """
    return "n/a" if pd.isna(value) else f"{value:#.3g}".removesuffix(".")


def plain(value: object) -> str:
    """Return a value as it is; a dash for a missing one.

    >>> plain(3), plain(None)
    ('3', '–')
    """
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "–" if missing else str(value)


def points(difference: float) -> str:
    """Return a difference of shares in percentage points, with its sign.

    >>> points(0.0123), points(-0.5), points(-0.0001), points(float("nan"))
    ('+1.2', '−50.0', '0.0', 'n/a')
    """
    text = f"{_hundredths(difference):+.1f}"
    return "n/a" if math.isnan(difference) else "0.0" if float(text) == 0 else text.replace("-", "−")


def fine_points(difference: float) -> str:
    """Return a difference in percentage points, with two decimals if one would show none.

    >>> fine_points(-0.0123), fine_points(0.0003), fine_points(1e-17)
    ('−1.2', '+0.03', '0.0')
    """
    text, fine = points(difference), f"{_hundredths(difference):+.2f}"
    return fine.replace("-", "−") if text == "0.0" and float(fine) else text


def p_value(p: float) -> str:
    """Return a p-value with two digits, those that are very small as a bound.

    >>> p_value(0.0321), p_value(1e-9), p_value(float("nan"))
    ('0.032', '< 0.0001', 'n/a')
    """
    if math.isnan(p):
        return "n/a"
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def p_text(p: float) -> str:
    """Return a p-value for a sentence.

    >>> p_text(0.0321), p_text(1e-9)
    ('p = 0.032', 'p < 0.0001')
    """
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def probability(share: float) -> str:
    """Return a probability in whole percent, those near 0 and 1 as bounds.

    >>> probability(0.554), probability(0.999), probability(0.0)
    ('55%', '> 99%', '< 1%')
    """
    whole = round(100 * share)
    return "> 99%" if share > 0.99 else "< 1%" if share < 0.01 else f"{whole}%"
