"""Numbers as texts."""

import pytest

from reports.number_formats import number


@pytest.mark.parametrize(("value", "text"), [(1234.0, "1.23e+03"), (0.5, "0.500"), (12.0, "12.0")])
def test_number(value: float, text: str) -> None:
    assert number(value) == text
