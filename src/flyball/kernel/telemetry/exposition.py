"""Families in Prometheus' text format 0.0.4, which every Prometheus and most agents read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from flyball.kernel.telemetry.families import Distribution, Family, FamilyKind

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(families: Iterable[Family]) -> bytes:
    r"""Return the page. A family without samples is written with its head, so that a reader sees that it exists.

    >>> from flyball.kernel.telemetry.families import Sample
    >>> kept = Family(name="kept", what="Kept.", samples=[Sample(labels={"of": 'a"b'}, value=3)])
    >>> exposition([kept])
    b'# HELP kept Kept.\n# TYPE kept gauge\nkept{of="a\\"b"} 3\n'
    """
    return "".join(line for family in families for line in _family(family)).encode("utf-8", "replace")


def _family(family: Family) -> Iterator[str]:
    name = f"{family.name}_total" if family.kind is FamilyKind.COUNTER else family.name
    yield f"# HELP {name} {family.what.replace(chr(92), chr(92) * 2).replace(chr(10), chr(92) + 'n')}\n"
    yield f"# TYPE {name} {family.kind}\n"
    for sample in family.samples:
        yield _line(name, sample.labels, sample.value)
    for distribution in family.distributions:
        yield from _distribution(name, distribution)


def _distribution(name: str, found: Distribution) -> Iterator[str]:
    so_far = 0
    for bound, count in zip((*map(_number, found.bounds), "+Inf"), found.counts, strict=True):
        so_far += count
        yield _line(f"{name}_bucket", {**found.labels, "le": bound}, so_far)
    yield _line(f"{name}_sum", found.labels, found.total)
    yield _line(f"{name}_count", found.labels, so_far)


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    said = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{said}}} {_number(value)}\n" if said else f"{name} {_number(value)}\n"


def _number(value: float) -> str:
    """Write a number as Prometheus reads it.

    >>> [_number(value) for value in (3, 0.25, math.inf, -math.inf, math.nan)]
    ['3', '0.25', '+Inf', '-Inf', 'NaN']
    """
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else f"{'+' if value > 0 else '-'}Inf"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
