"""Monitors for endpoints that have none: what is known of their traffic and their version, made into a proposal."""

from __future__ import annotations

import numpy as np

from flyball.deployment.entities import Endpoint
from flyball.kernel.documents import read_yaml
from flyball.kernel.errors import InvalidInput, NotFound
from flyball.monitoring.proposals import DAY_MS, Proposal, TrafficFacts, propose_monitor
from flyball.monitoring.references import References
from flyball.server.model_inputs import model_entries
from flyball.server.platform import Platform

# The traffic that a proposal looks at.
SPAN_MS = 7 * DAY_MS
MOST_LABELS = 100_000
# A monitor that sets itself waits until so many rows say how much traffic there is: its windows cannot be changed later.
FEWEST_ROWS = 1_000
FILES = ("monitor.yaml", "extra_files/monitor.yaml")
MOST_FILE_BYTES = 1 << 16


def propose(platform: Platform, endpoint: str) -> Proposal:
    """Propose a monitor for an endpoint.

    Raises:
        NotFound: there is no such endpoint.
        InvalidInput: the `monitor.yaml` in the model's folder is no monitor's file.
    """
    found = platform.deployments.get(endpoint)
    references = References(platform.registry.evidence, platform.artifacts)
    return propose_monitor(
        found.name,
        found.model,
        traffic=_traffic(platform, found.name),
        reference=references.of(found.model, found.champion.version),
        written=_written(platform, found),
    )


def set_monitors(platform: Platform, *, actor: str) -> list[str]:
    """Set a monitor for every endpoint without one whose version carries a reference and that has traffic; return their names."""
    references = References(platform.registry.evidence, platform.artifacts)
    made: list[str] = []
    for endpoint in platform.monitors.unmonitored(platform.deployments.list()):
        known = references.of(endpoint.model, endpoint.champion.version)
        if known.inputs is not None and _traffic(platform, endpoint.name).rows >= FEWEST_ROWS:
            monitor = propose(platform, endpoint.name).monitor
            made.append(platform.monitors.put(monitor.to_json(), actor=actor).name)
    return made


def _traffic(platform: Platform, endpoint: str) -> TrafficFacts:
    log = platform.predictions
    stream = log.find_stream(endpoint)
    nothing = np.zeros(0, dtype=np.int64)
    if stream is None or stream.watermark_ms < 0:
        return TrafficFacts(rows=0, span_ms=0, label_delays_ms=nothing)
    end = stream.watermark_ms + 1
    first = min((one.min_ms for one in log.segments(endpoint, max(0, end - SPAN_MS), end)), default=end)
    start = max(first, end - SPAN_MS)
    rows = log.predictions.count(endpoint, start_ms=start, end_ms=end)
    count = log.labels.count(endpoint, start_ms=start, end_ms=end)
    since = start if count <= MOST_LABELS else end - (end - start) * MOST_LABELS // count
    labels = log.labels.within(endpoint, start_ms=since, end_ms=end)
    delays = np.asarray(labels.times_ms, dtype=np.int64) - np.asarray(labels.events_ms, dtype=np.int64)
    return TrafficFacts(rows=rows, span_ms=end - start, label_delays_ms=delays)


def _written(platform: Platform, endpoint: Endpoint) -> dict[str, object]:
    """Return what the monitor's file in the model's folder says; nothing where there is none."""
    version = platform.registry.get_version(endpoint.model, endpoint.champion.version)
    try:
        entries = model_entries(platform.artifacts, version)
    except (NotFound, InvalidInput):  # its files are kept elsewhere
        return {}
    entry = next((entries[name] for name in FILES if name in entries), None)
    if entry is None or entry.digest is None:
        return {}
    if (entry.size_bytes or 0) > MOST_FILE_BYTES:
        raise InvalidInput(
            f"the monitor.yaml of {endpoint.model} is larger than {MOST_FILE_BYTES} bytes", field="monitor.yaml"
        )
    text = b"".join(platform.artifacts.blobs.open(entry.digest)).decode("utf-8", errors="replace")
    content = read_yaml(text, what="the monitor.yaml of the model")
    if not isinstance(content, dict):
        raise InvalidInput("the monitor.yaml of the model is no mapping", field="monitor.yaml")
    return dict(content)
