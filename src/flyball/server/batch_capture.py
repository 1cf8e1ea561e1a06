"""Predictions of a batch job go into an endpoint's log as if the endpoint had answered them: by its rules, in its record."""

from __future__ import annotations

import io
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from flyball.deployment.entities import Endpoint
from flyball.kernel.errors import Conflict, InvalidInput
from flyball.monitoring.entities import Accepted
from flyball.server.capture_key import capture_key
from flyball.server.model_inputs import captured_columns, read_signature
from flyball.server.platform import Platform
from flyball.serving.capture_rules import INPUTS
from flyball.serving.redaction import Redaction

MAX_BYTES = 256 << 20


def capture_batch(
    platform: Platform, endpoint: str, version: int, chunks: Iterable[bytes], *, actor: str
) -> tuple[Accepted, int]:
    """Keep predictions that a version of an endpoint's model made elsewhere; return also how many were not drawn.

    What the endpoint hides is hidden before anything is written. Role and caller are what the platform knows of them.

    Raises:
        Conflict: the endpoint does not answer with this version.
        InvalidInput: the bytes are no Parquet file, or hold rows that are none of this version.
    """
    found = platform.deployments.get(endpoint)
    role = _role(found, version)
    table = _read(chunks)
    registered = platform.registry.get_version(found.model, version)
    _require_inputs(table, captured_columns(read_signature(platform.artifacts, registered)))
    for name, value, kind in (
        ("version", version, pa.int32()),
        ("version_digest", registered.digest, pa.string()),
        ("role", role, pa.string()),
        ("caller", actor, pa.string()),
    ):
        table = _with(table, name, pa.repeat(pa.scalar(value, kind), table.num_rows))
    kept = Redaction(capture_key(platform.settings)).apply(table, found.capture)
    if not kept.num_rows:
        return Accepted(rows=0, duplicates=0), table.num_rows
    return platform.predictions.add(endpoint, kept), table.num_rows - kept.num_rows


def _role(endpoint: Endpoint, version: int) -> str:
    for route in endpoint.routes:
        if route.version == version:
            return route.role.value
    known = ", ".join(f"{route.version} ({route.role})" for route in endpoint.routes)
    raise Conflict(
        f"endpoint '{endpoint.name}' does not answer with version {version} of {endpoint.model}, only with {known}; what another one "
        "says has no place in its log",
        field="version",
    )


def _read(chunks: Iterable[bytes]) -> pa.Table:
    content = b"".join(chunks)
    try:
        return pq.read_table(io.BytesIO(content), partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(f"the body is no Parquet file: {error}", field="body") from error


def _require_inputs(table: pa.Table, known: list[str]) -> None:
    """Refuse a feature that the version does not take: a rule that hides columns could not name it."""
    for name in table.column_names:
        if name.startswith(INPUTS) and name not in known:
            raise InvalidInput(f"column '{name}' is none of the version's inputs", field=name)
        if name == "share":
            raise InvalidInput("the share is what the endpoint's rules draw; leave the column out", field=name)


def _with(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    if name not in table.column_names:
        raise InvalidInput(f"a batch of predictions lacks the column '{name}'", field=name)
    return table.set_column(table.column_names.index(name), name, values)
