"""The report of an import: what was taken, what was there already, what could not be taken and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from flyball.kernel.canonical import JsonValue
from flyball.transfer.entities import Kind, SourceDescription


class Outcome(StrEnum):
    """What became of a thing of the source."""

    ADDED = "added"
    UNCHANGED = "unchanged"
    CONFLICT = "conflict"
    REFUSED = "refused"


@dataclass(slots=True, kw_only=True)
class Report:
    """Filled while an import goes on."""

    source: SourceDescription
    counts: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    points: int = 0
    bytes_added: int = 0
    mapped: list[dict[str, JsonValue]] = field(default_factory=list)
    troubles: list[dict[str, JsonValue]] = field(default_factory=list)
    unreadable: list[dict[str, JsonValue]] = field(default_factory=list)
    damaged: Sequence[str] = ()
    not_taken: Mapping[str, int] = field(default_factory=dict)
    started_ms: int = 0
    finished_ms: int = 0

    def count(self, kind: Kind, outcome: Outcome, number: int = 1) -> None:
        """Note things that went without trouble."""
        self.counts[kind][outcome] += number

    def trouble(self, kind: Kind, key: str, *, outcome: Outcome, reason: str) -> None:
        """Note a thing that was not taken: there with other content, or not to be kept here."""
        self.counts[kind][outcome] += 1
        self.troubles.append({"kind": str(kind), "key": key, "outcome": str(outcome), "reason": reason})

    def missing(self, root: str, path: str, *, reason: str) -> None:
        """Note files that could not be read; an empty path means all of a place."""
        self.unreadable.append({"root": root, "path": path, "reason": reason})

    def remap(self, source_id: str, target_id: str, *, name: str) -> None:
        """Note an experiment that has another id here: its own was taken, or one of its name was here."""
        self.mapped.append({"source_id": source_id, "id": target_id, "name": name})

    def added(self) -> bool:
        """Tell whether anything was written."""
        return any(counter[Outcome.ADDED] for counter in self.counts.values())

    def content(self) -> dict[str, JsonValue]:
        """Return the report as JSON."""
        return {
            "source": {"name": self.source.name, "kind": self.source.kind, **self.source.detail},
            "started_ms": self.started_ms,
            "finished_ms": self.finished_ms,
            "counts": {
                str(kind): {str(outcome): self.counts[kind][outcome] for outcome in Outcome} for kind in self.counts
            },
            "metric_points": self.points,
            "artifact_bytes": self.bytes_added,
            "experiments_mapped": list(self.mapped),
            "conflicts_and_refusals": list(self.troubles),
            "unreadable_files": list(self.unreadable),
            "damaged_at_the_source": list(self.damaged),
            "not_taken": dict(self.not_taken),
        }

    def lines(self, *, most: int = 20) -> Iterator[str]:
        """Write the report for people; long lists are cut, and say so."""
        yield f"from {self.source.name} ({self.source.kind})"
        yield from (f"  {name}: {text}" for name, text in self.source.detail.items())
        for kind, counter in self.counts.items():
            words = ", ".join(f"{counter[outcome]} {outcome}" for outcome in Outcome if counter[outcome])
            yield f"  {kind}: {words}"
        yield f"  metric points read: {self.points}, artifact bytes written: {self.bytes_added}"
        yield from _listed("experiments under another id", [_mapping(each) for each in self.mapped], most)
        yield from _listed("not taken, because of what is here or what they are", map(_trouble, self.troubles), most)
        yield from _listed("files that could not be read", map(_unread, self.unreadable), most)
        yield from _listed("damaged at the source, and left there", self.damaged, most)
        left = [f"{name}: {number}" for name, number in self.not_taken.items()]
        yield from _listed("at the source and not taken, by kind", left, most)


def _listed(title: str, lines: Iterable[str], most: int) -> Iterator[str]:
    found = list(lines)
    if not found:
        return
    yield f"{title} ({len(found)}):"
    yield from (f"  {line}" for line in found[:most])
    if len(found) > most:
        yield f"  ... and {len(found) - most} more; all of them are in the report file (--report)"


def _mapping(each: Mapping[str, JsonValue]) -> str:
    return f"{each['source_id']} -> {each['id']} '{each['name']}'"


def _trouble(each: Mapping[str, JsonValue]) -> str:
    return f"{each['kind']} {each['key']} ({each['outcome']}): {each['reason']}"


def _unread(each: Mapping[str, JsonValue]) -> str:
    return f"{each['root']}/{each['path']}: {each['reason']}"
