"""The text under which a value of a column is known as a category."""

from __future__ import annotations


def category_text(value: object) -> str:
    """Return the text under which a category is known: whole numbers without a point, truth values in lower case.

    >>> category_text(2.0), category_text(True), category_text("a")
    ('2', 'true', 'a')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
