"""The index of predictions and their segments, as rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, Row, and_, func, insert, select, update

from flyball.kernel.canonical import Digest
from flyball.kernel.db import Database
from flyball.monitoring.entities import AnswerKind, PredictionKey, Segment, Stream
from flyball.monitoring.ports import Grid
from flyball.monitoring.sql.dialect import in_pages, insert_new, start_of_number, window_number
from flyball.monitoring.sql.segments import segment_of
from flyball.monitoring.tables import prediction_index, prediction_segments, prediction_streams


class SqlPredictionStore:
    """The row of an endpoint's stream is its lock: who has taken an arrival number holds it until the commit."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def arrive(self, endpoint: str, *, watermark_ms: int | None) -> int:
        mine = prediction_streams.c.endpoint == endpoint
        with self._database.transaction() as connection:
            fresh = {"endpoint": endpoint, "watermark_ms": -1, "arrivals": 0, "captured_rows": 0}
            connection.execute(insert_new(self._database, prediction_streams), fresh)
            row = connection.execute(select(prediction_streams).where(mine).with_for_update()).one()
            watermark = max(row.watermark_ms, -1 if watermark_ms is None else watermark_ms)
            connection.execute(
                update(prediction_streams).where(mine).values(watermark_ms=watermark, arrivals=row.arrivals + 1)
            )
            return int(row.arrivals) + 1

    def find_stream(self, endpoint: str) -> Stream | None:
        query = select(prediction_streams).where(prediction_streams.c.endpoint == endpoint)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return Stream(endpoint=row.endpoint, watermark_ms=row.watermark_ms, arrivals=row.arrivals) if row else None

    def find_keys(self, endpoint: str, prediction_ids: Collection[str]) -> list[PredictionKey]:
        found: list[PredictionKey] = []
        with self._database.read() as connection:
            for page in in_pages(prediction_ids):
                mine = and_(prediction_index.c.endpoint == endpoint, prediction_index.c.prediction_id.in_(page))
                found += [_key(row) for row in connection.execute(select(prediction_index).where(mine))]
        return found

    def add_segment(self, segment: Segment, keys: Sequence[PredictionKey]) -> None:
        rows = [
            {"endpoint": segment.endpoint, "arrival": segment.arrival}
            | {"prediction_id": key.prediction_id, "answer": key.answer, "time_ms": key.time_ms, "kind": str(key.kind)}
            for key in keys
        ]
        with self._database.transaction() as connection:
            connection.execute(insert(prediction_segments), dataclasses.asdict(segment))
            mine = prediction_streams.c.endpoint == segment.endpoint
            more = prediction_streams.c.captured_rows + segment.row_count
            connection.execute(update(prediction_streams).where(mine).values(captured_rows=more))
            connection.execute(insert(prediction_index), rows)

    def segments(self, endpoint: str, *, start_ms: int, end_ms: int) -> list[Segment]:
        # By the index of rows, not by the segments' own bounds: the cost then grows with the span, not with the log.
        arrivals = select(prediction_index.c.arrival).where(_within(endpoint, start_ms, end_ms)).distinct()
        mine = and_(prediction_segments.c.endpoint == endpoint, prediction_segments.c.arrival.in_(arrivals))
        query = select(prediction_segments).where(mine).order_by(prediction_segments.c.arrival)
        with self._database.read() as connection:
            return [segment_of(row) for row in connection.execute(query)]

    def in_files(self, endpoint: str, digests: Collection[Digest]) -> list[Segment]:
        found: list[Segment] = []
        with self._database.read() as connection:
            for page in in_pages(digests):
                mine = and_(prediction_segments.c.endpoint == endpoint, prediction_segments.c.digest.in_(page))
                found += [segment_of(row) for row in connection.execute(select(prediction_segments).where(mine))]
        return sorted(found, key=lambda segment: segment.arrival)

    def first_beyond(self, endpoint: str, time_ms: int) -> int | None:
        later = and_(prediction_index.c.endpoint == endpoint, prediction_index.c.time_ms >= time_ms)
        with self._database.read() as connection:
            found = connection.execute(select(func.min(prediction_index.c.arrival)).where(later)).scalar_one()
        return None if found is None else int(found)

    def find_segment(self, endpoint: str, prediction_id: str) -> Segment | None:
        mine = and_(
            prediction_index.c.endpoint == endpoint,
            prediction_index.c.prediction_id == prediction_id,
            prediction_index.c.answer == "",
        )
        same = and_(
            prediction_segments.c.endpoint == prediction_index.c.endpoint,
            prediction_segments.c.arrival == prediction_index.c.arrival,
        )
        query = select(prediction_segments).join(prediction_index, same).where(mine)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return segment_of(row) if row else None

    def count(self, endpoint: str, *, start_ms: int, end_ms: int) -> int:
        answered = and_(_within(endpoint, start_ms, end_ms), prediction_index.c.answer == "")
        with self._database.read() as connection:
            found = connection.execute(select(func.count()).select_from(prediction_index).where(answered)).scalar_one()
        return int(found)

    def touched(self, endpoint: str, *, after: int, through: int, grid: Grid) -> list[int]:
        number = window_number(prediction_index.c.time_ms, grid)
        arrived = and_(
            prediction_index.c.endpoint == endpoint,
            prediction_index.c.arrival > after,
            prediction_index.c.arrival <= through,
        )
        with self._database.read() as connection:
            rows = connection.execute(select(number.label("number")).where(arrived).distinct())
            return sorted(start_of_number(row.number, grid) for row in rows)


def _within(endpoint: str, start_ms: int, end_ms: int) -> ColumnElement[bool]:
    return and_(
        prediction_index.c.endpoint == endpoint,
        prediction_index.c.time_ms >= start_ms,
        prediction_index.c.time_ms < end_ms,
    )


def _key(row: Row[tuple[object, ...]]) -> PredictionKey:
    return PredictionKey(
        prediction_id=row.prediction_id, answer=row.answer, time_ms=row.time_ms, kind=AnswerKind(row.kind)
    )
