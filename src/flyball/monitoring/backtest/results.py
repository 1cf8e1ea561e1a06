"""What a backtest found, as values, as JSON and as a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import Corrupted
from flyball.monitoring.codec import to_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Something that happened. It lasts until `end_ms`, else until people `noticed_ms` it, else to the end of the history."""

    name: str
    start_ms: int
    end_ms: int | None = None
    noticed_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """An alert that would have fired, and how many windows in a row showed the same. `false_alarm`: no incident was on."""

    kind: str
    window_start_ms: int
    fired_ms: int
    windows: int
    causes: tuple[str, ...]
    false_alarm: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How often alerts of a kind fired: `count` in all, and per 30 days with bounds of 95 % (alerts taken as independent)."""

    kind: str
    count: int
    per_30d: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Caught:
    """An incident and the first alert in it: how long after its start, and how much sooner than people. None: it was missed."""

    incident: Incident
    kind: str = ""
    fired_ms: int | None = None
    after_ms: int | None = None
    sooner_ms: int | None = None
    causes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """A window of the replay: which kinds of alert it shows, and what could not be judged with the reason."""

    start_ms: int
    rows: int
    shown: tuple[str, ...]
    p_value: float | None = None
    unknown: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One monitor over one history.

    `calibration` is the digest of what its thresholds came from, empty where there is none; `stated` says in words which rate it
    states, or why it states none.
    """

    monitor: str
    digest: str
    from_ms: int
    to_ms: int
    window_ms: int
    stated: str
    calibration: str
    fired: tuple[Fired, ...]
    rates: tuple[Rate, ...]
    caught: tuple[Caught, ...]
    windows: tuple[Strip, ...]

    @property
    def false_alarms(self) -> tuple[Fired, ...]:
        """The alerts that no incident explains."""
        return tuple(one for one in self.fired if one.false_alarm)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """A monitor replayed, and another one over the same history where two are compared."""

    draft: Replayed
    current: Replayed | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """Return the result as JSON values."""
        content = to_json(self)
        assert isinstance(content, dict), "a dataclass is an object"
        return content

    @classmethod
    def from_json(cls, content: object) -> Backtest:
        """Read a result back.

        Raises:
            Corrupted: it is none.
        """
        try:
            return msgspec.convert(content, cls)
        except msgspec.ValidationError as error:
            raise Corrupted(f"this is no result of a backtest: {error}") from error

    def to_html(self, path: str | Path | None = None) -> str:
        """Return the result as one self-contained page, and write it where a path is given."""
        from flyball.monitoring.backtest.report import render

        page = render(self)
        if path is not None:
            Path(path).write_text(page, encoding="utf-8")
        return page
