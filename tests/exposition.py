"""Pages for Prometheus, read by the parser of its own client."""

from __future__ import annotations

from collections import Counter

from prometheus_client.parser import text_string_to_metric_families


def samples_of(page: str) -> dict[str, float]:
    """Return every sample by its name and labels, as they are written.

    The parser takes a page whose families come in pieces, and a histogram whose classes fall; Prometheus warns of the one and
    reckons wrongly with the other, so both are held here.
    """
    families = list(text_string_to_metric_families(page))
    again = [name for name, count in Counter(family.name for family in families).items() if count > 1]
    assert not again, f"families that come in pieces: {again}"
    found: dict[str, float] = {}
    for family in families:
        assert family.type != "unknown", family.name
        assert family.documentation, family.name
        for sample in family.samples:
            said = ",".join(f'{label}="{text}"' for label, text in sample.labels.items())
            name = f"{sample.name}{{{said}}}" if said else sample.name
            assert name not in found, f"{name} is there twice"
            found[name] = sample.value
        if family.type == "histogram":
            _check_histogram(family.samples, name=family.name)
    return found


def _check_histogram(samples: list, *, name: str) -> None:  # type: ignore[type-arg]
    series: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    counts: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in samples:
        labels = tuple(sorted((label, text) for label, text in sample.labels.items() if label != "le"))
        if sample.name == f"{name}_bucket":
            series.setdefault(labels, []).append((float(sample.labels["le"]), sample.value))
        elif sample.name == f"{name}_count":
            counts[labels] = sample.value
    assert series.keys() == counts.keys()
    for labels, classes in series.items():
        values = [value for _, value in sorted(classes)]
        assert values == sorted(values), f"the classes of {name} {labels} fall"
        assert (max(classes)[0], values[-1]) == (float("inf"), counts[labels])
