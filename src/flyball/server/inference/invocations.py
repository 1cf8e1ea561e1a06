"""`/invocations` as MLflow and SageMaker call it: what is sent says how it is read, what is accepted how it is answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Final

import msgspec

from flyball.server.inference.arrow import read_arrow, read_parquet, write_arrow
from flyball.server.inference.csv_rows import HEADER, read_csv, write_csv
from flyball.server.inference.datatypes import plain
from flyball.server.inference.exchange import ARROW, CSV, JSON, PARQUET, Asker, Exchange, Reply
from flyball.server.inference.http import NOT_ACCEPTABLE, UNREAD_TYPE, Refused
from flyball.server.inference.tables import read_tables
from flyball.serving.plane import MAX_ROWS
from flyball.serving.requests import InferAnswer, InferRequest
from flyball.serving.row_ids import json_of

_UTF8 = {"utf-8", "utf8", "us-ascii"}


def read_invocation(body: bytes, asker: Asker, *, content_type: str = "", accept: str = "") -> Exchange:
    """Read an invocation. It is answered as JSON, unless something else is accepted; Arrow is answered in kind.

    Raises:
        InvalidInput: rows that do not belong together, or cannot be read; `field` names the place.
        Refused: a content type that is not read, or nothing accepted that is written.
    """
    kind, parameters = parse_media_type(content_type or JSON)
    preferred = ARROW if kind == ARROW else JSON
    write = partial(_written, choose(accept, preferred=preferred))
    return Exchange(request=_read(body, asker, kind, parameters), write=write)


@lru_cache(maxsize=128)
def parse_media_type(text: str) -> tuple[str, Mapping[str, str]]:
    """Split a media type from its parameters.

    >>> parse_media_type('text/csv; Header=present; charset="utf-8"')
    ('text/csv', {'header': 'present', 'charset': 'utf-8'})
    """
    kind, *rest = text.split(";")
    pairs = (part.partition("=") for part in rest if part.strip())
    return kind.strip().lower(), {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def choose(accept: str, *, preferred: str) -> str:
    """Return the media type to answer in: what the caller likes best of what is written here, ours among equals.

    Raises:
        Refused: none of what is accepted is written here.
    """
    offered = (preferred, *(kind for kind in WRITERS if kind != preferred))
    best, best_weight = preferred, 0.0
    for kind in offered:
        weight = max((_weight(part, kind) for part in accept.split(",")), default=0.0) if accept.strip() else 1.0
        if weight > best_weight:
            best, best_weight = kind, weight
    if not best_weight:
        raise Refused(f"'{accept}' is accepted; written here: {', '.join(WRITERS)}", status=NOT_ACCEPTABLE)
    return best


def _weight(part: str, kind: str) -> float:
    accepted, parameters = parse_media_type(part)
    if accepted not in {kind, "*/*", f"{kind.partition('/')[0]}/*"}:
        return 0.0
    try:
        return float(parameters.get("q", "1"))
    except ValueError:
        return 0.0


def _read(body: bytes, asker: Asker, kind: str, parameters: Mapping[str, str]) -> InferRequest:
    charset = parameters.get("charset", "utf-8").lower()
    if charset not in _UTF8:
        raise Refused(f"charset {charset} is not read here; send UTF-8", status=UNREAD_TYPE)
    strange = parameters.keys() - {"charset"} - ({HEADER} if kind == CSV else set())
    if strange:
        raise Refused(f"'{min(strange)}' of the content type is not known here", status=UNREAD_TYPE)
    if kind == CSV:
        return read_csv(body, asker, header=parameters.get(HEADER))
    if kind not in _READERS:
        raise Refused(
            f"content type '{kind}' is not read here; read here: {', '.join((*_READERS, CSV))}", status=UNREAD_TYPE
        )
    return _READERS[kind](body, asker)


def _written(kind: str, answer: InferAnswer) -> Reply:
    return Reply(body=WRITERS[kind](answer), media_type=kind)


def write_json(answer: InferAnswer) -> bytes:
    """Write predictions as MLflow does, with what is needed to join labels to them."""
    said = answer.prediction
    labels = plain(said.labels) if said.labels.ndim == 1 else said.labels.tolist()
    ids = msgspec.Raw(json_of(answer.prediction_ids))
    page = {"predictions": labels, "prediction_ids": ids, "model_version": str(answer.version)}
    if said.outputs:
        page["outputs"] = {name: values.tolist() for name, values in said.outputs.items()}
    return msgspec.json.encode(page)


_READERS: Final[Mapping[str, Callable[[bytes, Asker], InferRequest]]] = {
    JSON: read_tables,
    ARROW: read_arrow,
    PARQUET: partial(read_parquet, rows_at_most=MAX_ROWS),
}
WRITERS: Final[Mapping[str, Callable[[InferAnswer], bytes]]] = {JSON: write_json, CSV: write_csv, ARROW: write_arrow}
"""What is written here, by its media type."""
