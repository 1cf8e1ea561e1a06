"""The process of one endpoint, joined to the platform's stores."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from flyball.governance.permissions import Permission
from flyball.kernel.errors import InvalidInput
from flyball.kernel.logs import configure_logs
from flyball.kernel.settings import load_settings
from flyball.monitoring.log import PredictionLog
from flyball.monitoring.losses import Losses
from flyball.registry import EvidenceKind
from flyball.server.home import prepare_home
from flyball.server.inference.process import Surroundings, serve
from flyball.server.occupancy import share_database
from flyball.server.platform import Platform, open_platform
from flyball.server.scoring import fetch_model
from flyball.server.supervisor import follow_parent
from flyball.serving.capture_queue import LossKind
from flyball.serving.entities import ModelFolder
from flyball.serving.parity import Certificate

SERVICE = "service:endpoint"
LARGEST_PORT = 65_535


class LogSink:
    """Hand captured predictions to the prediction log, and what is lost of them to those who watch."""

    def __init__(self, predictions: PredictionLog, losses: Losses, *, model: str) -> None:
        self._predictions = predictions
        self._losses = losses
        self._model = model

    def accept(self, endpoint: str, table: pa.Table) -> None:
        self._predictions.accept(endpoint, table)

    def lost(self, endpoint: str, rows: Mapping[LossKind, int]) -> None:
        by_reason = {kind.value: count for kind, count in rows.items()}
        self._losses.report(endpoint, self._model, by_reason, actor=SERVICE)


def run_endpoint(name: str, *, supervised: bool, grpc_port: int | None = None) -> None:
    """Serve an endpoint until SIGTERM or Ctrl-C; over gRPC too, at `grpc_port` or where the settings say.

    Raises:
        NotFound: there is no endpoint of that name.
        InvalidInput: the settings name a port that is none.
        MissingExtra: gRPC is wanted, and its library is not installed.
    """
    settings = load_settings()
    port = grpc_ports(settings.grpc_ports).get(name) if grpc_port is None else grpc_port
    prepare_home(settings)
    # A dump of this process's memory would hold what its endpoint may not write.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    configure_logs(settings, process=f"endpoint/{name}")
    with share_database(settings.resolved_database_url, process=f"flyball endpoint serve {name}"):
        platform = open_platform(settings)
        model = platform.deployments.get(name).model
        if supervised:
            follow_parent()
        with TemporaryDirectory(prefix="flyball-endpoint-") as folder:
            around = _surroundings(platform, name, model, Path(folder))
            serve(name, model, surroundings=around, settings=settings, grpc_port=port)
        platform.close()


def grpc_ports(text: str) -> dict[str, int]:
    """Read the setting: a port for each endpoint it names.

    >>> grpc_ports("prices:8001, churn:8002")
    {'prices': 8001, 'churn': 8002}

    Raises:
        InvalidInput: something in it is no `endpoint:port`, or an endpoint or a port comes twice.
    """
    found: dict[str, int] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, _, port = pair.partition(":")
        if not name or not port.isascii() or not port.isdigit() or not 0 < int(port) <= LARGEST_PORT:
            raise InvalidInput(f"grpc_ports: '{pair}' is no endpoint:port", field="grpc_ports")
        if name in found or int(port) in found.values():
            raise InvalidInput(f"grpc_ports: '{pair}' names an endpoint or a port again", field="grpc_ports")
        found[name] = int(port)
    return found


def _surroundings(platform: Platform, name: str, model: str, folder: Path) -> Surroundings:
    digests: dict[int, str] = {}

    def fetch(version: int) -> ModelFolder:
        registered = platform.registry.get_version(model, version)
        digests[version] = registered.digest
        into = folder / str(registered.version)
        if not into.exists():
            with TemporaryDirectory(dir=folder) as draft:  # a copy that breaks off must not pass for a whole one
                fetch_model(platform.artifacts, registered, into=Path(draft) / "model").rename(into)
        return ModelFolder(path=into, digest=registered.digest)

    def authorise(token: str, permission: Permission) -> str:
        principal = platform.access.authenticate(token)
        principal.require(permission)
        return principal.identity

    return Surroundings(
        current_routing=lambda: platform.deployments.get(name),
        fetch_model=fetch,
        report=platform.deployments.report_status,
        authorise=authorise,
        sink=LogSink(platform.predictions, platform.losses, model=model),
        certified=lambda certificate: keep_certificate(platform, model, certificate, digests=digests),
    )


def keep_certificate(platform: Platform, model: str, certificate: Certificate, *, digests: Mapping[int, str]) -> None:
    """Attach a certificate as evidence to the versions that it is about; `digests` are those of the versions by number."""
    kept = platform.artifacts.put_json(certificate.content())
    for version in [number for number, digest in list(digests.items()) if digest == certificate.model_digest]:
        platform.registry.attach(model, version, EvidenceKind.PARITY, kept, actor=SERVICE)
