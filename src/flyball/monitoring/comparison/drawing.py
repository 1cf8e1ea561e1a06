"""Pictures of a column in both tables, as SVG small enough to put hundreds on a page."""

from __future__ import annotations

from html import escape

from flyball.measures.samples import Floats
from flyball.monitoring.comparison.results import Picture

WIDTH, HEIGHT = 260, 72
LABEL_CHARACTERS = 24


def draw(picture: Picture) -> str:
    """Draw shares of the reference as filled steps and those of the current table as a line over them."""
    top = max(float(picture.reference.max()), float(picture.current.max()), 1e-12)
    filled = _steps(picture.reference / top)
    line = _steps(picture.current / top)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 14}" role="img"><title>{escape(_caption(picture))}</title>'
        f'<path class="r" d="M0 {HEIGHT}{filled}V{HEIGHT}Z"/><path class="c" d="M0 {HEIGHT}{line}V{HEIGHT}"/>'
        f"{_axis(picture)}</svg>"
    )


def number(value: float | None) -> str:
    """Write a number as a reader wants it: four digits, no more zeros than needed.

    >>> number(1234567.0), number(0.00012345), number(None)
    ('1.235e+06', '0.0001235', 'none')
    """
    return "none" if value is None else f"{value:.4g}"


def _steps(heights: Floats) -> str:
    width = WIDTH / len(heights)
    return "".join(f"V{HEIGHT * (1 - share):.1f}H{width * (place + 1):.1f}" for place, share in enumerate(heights))


def _axis(picture: Picture) -> str:
    if picture.edges is None:
        return ""
    low, high = number(float(picture.edges[0])), number(float(picture.edges[-1]))
    return (
        f'<text x="0" y="{HEIGHT + 12}">{low}</text><text x="{WIDTH}" y="{HEIGHT + 12}" text-anchor="end">{high}</text>'
    )


def _caption(picture: Picture) -> str:
    if picture.edges is not None:
        return f"shares from {number(float(picture.edges[0]))} to {number(float(picture.edges[-1]))}"
    pairs = zip(picture.labels, picture.reference, picture.current, strict=True)
    return "\n".join(f"{label[:LABEL_CHARACTERS]}: {ours:.1%} → {theirs:.1%}" for label, ours, theirs in pairs)
