"""`flyball serve`: a model server of folders on this machine, without a platform."""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from flyball.governance.permissions import Permission
from flyball.kernel.clock import SystemClock
from flyball.kernel.errors import Conflict, InvalidInput, Unauthenticated
from flyball.kernel.ids import new_id
from flyball.kernel.logs import configure_logs, get_logger
from flyball.kernel.settings import Settings
from flyball.server.home import OTHERS, prepare_home, sync_folder, write_private
from flyball.server.inference.app import Routes, build_app
from flyball.server.inference.authorisation import Authorise
from flyball.server.inference.limits import RequestLimits, batch_limits
from flyball.server.inference.listening import Beside, listen_until_signal, load_grpc
from flyball.server.inference.metrics import served_figures
from flyball.server.inference.process import collect_seldom, prefer_one_thread
from flyball.server.inference.sagemaker import container_routes
from flyball.server.inference.tracing import traced
from flyball.server.inference.verbs import all_routes
from flyball.server.inference.warming import model_loader
from flyball.server.reporting import reported
from flyball.serving.capture import PredictionBatch
from flyball.serving.capture_queue import LossKind
from flyball.serving.entities import ModelFolder
from flyball.serving.model_folder import MLMODEL
from flyball.serving.parity import Certificate
from flyball.serving.plane import DataPlane
from flyball.serving.ports import PredictionCapture
from flyball.serving.score_model import tree_digest
from flyball.serving.shelf import FolderHost
from flyball.serving.spool import Spool

# The name becomes a part of URLs and the name of a folder.
MODEL = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,99})(?:/([1-9][0-9]{0,8}))?=(.+)", re.DOTALL)
KEY_BYTES = 32
LEAST_KEY_LENGTH = 16
CALLER = "key"

_log = get_logger("inference")


class Door(StrEnum):
    """Who is let in, and to what."""

    KEY = "key"
    LOOPBACK = "loopback"
    """Everybody on this machine."""
    SAGEMAKER = "sagemaker"
    """Everybody who reaches the port, to what SageMaker asks of its containers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What to serve, and how.

    `captured` is where predictions are kept, None when they are not; `grpc_port` is None without gRPC, 0 for a free one.
    """

    models: dict[str, dict[int, Path]]
    host: str
    port: int
    grpc_port: int | None
    captured: Path | None
    memory_bytes: int
    door: Door


def parse_models(texts: Sequence[str]) -> dict[str, dict[int, Path]]:
    """Read `NAME=FOLDER` and `NAME/VERSION=FOLDER`; the version is 1 when none is given.

    Raises:
        InvalidInput: a text of another form, a version given twice, or a folder without a model.
    """
    models: dict[str, dict[int, Path]] = {}
    for text in texts:
        found = MODEL.fullmatch(text)
        if found is None:
            raise InvalidInput(
                f"'{text}' is not NAME=FOLDER or NAME/VERSION=FOLDER; a name has letters, digits, '.', '_' and '-'",
                field="models",
            )
        name, version, folder = found[1], int(found[2] or 1), Path(found[3]).expanduser().absolute()
        if not (folder / MLMODEL).is_file():
            raise InvalidInput(f"{folder} holds no model: there is no file {MLMODEL} in it", field="models")
        versions = models.setdefault(name, {})
        if version in versions:
            raise InvalidInput(f"version {version} of '{name}' is given twice", field="models")
        versions[version] = folder
    return models


def serve_folders(options: ServeOptions, *, settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C. At the end what was accepted is answered, and what was captured is on disk.

    The models are loaded before anything is answered; in a container of SageMaker, which is asked whether it is ready, meanwhile.

    Raises:
        InvalidInput: an address that cannot be bound, a key that is too short, or a folder that holds no model.
        Conflict: the address is taken, or another process captures into the folder.
        MissingExtra: gRPC is wanted, and its library is not installed.
    """
    start_grpc = None if options.grpc_port is None else load_grpc(f"{options.host}:{options.grpc_port}")
    prefer_one_thread()
    collect_seldom()
    prepare_home(settings)
    configure_logs(settings, process="serve")
    authorise = _doorkeeper(options, settings)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(_bind(options.host, options.port))
        host = _open_host(options, settings, stack)
        routes: Routes = all_routes
        beside: Beside | None = None
        if options.door is Door.SAGEMAKER:
            routes, beside = container_routes, Beside(partial(_load_all, host))
        else:
            _load_all(host)
        app = build_app(
            host,
            authorise=authorise,
            max_request_bytes=settings.max_request_bytes,
            limits=RequestLimits.by(settings),
            routes=routes,
        )
        _announce(options, host, listener.getsockname()[1], settings=settings, announce=announce)
        figures = partial(served_figures, app.answering, app.counts)
        stack.enter_context(reported(figures, settings, instance=",".join(host.names)))
        answering = stack.enter_context(traced(app, settings))
        listen_until_signal(answering, listener, start_grpc, beside=beside)
    _log.info("drained")


def _open_host(options: ServeOptions, settings: Settings, stack: contextlib.ExitStack) -> FolderHost:
    """Return the models, none of which is loaded; what they need is closed with the stack, after them."""
    captures = {name: _open_capture(name, options, settings, stack) for name in options.models}
    folders = {
        name: {version: ModelFolder(path=path, digest=tree_digest(path)) for version, path in versions.items()}
        for name, versions in options.models.items()
    }
    clock, limits = SystemClock(), batch_limits(settings)
    host = FolderHost(
        folders,
        open_plane=lambda name: DataPlane(name, name, capture=captures[name], clock=clock, limits=limits),
        load=stack.enter_context(model_loader(settings, clock=clock, tell=_log_certificate)),
        memory_bytes=options.memory_bytes,
    )
    stack.callback(host.close)
    return host


def _load_all(host: FolderHost) -> None:
    for name in host.names:
        host.load(name)


def _announce(
    options: ServeOptions, host: FolderHost, port: int, *, settings: Settings, announce: Callable[[str], None]
) -> None:
    announce(f"Serving {', '.join(host.names)} at http://{options.host}:{port}")
    match options.door:
        case Door.KEY if not settings.serve_key:
            announce(f"Key: {settings.serve_key_file}")
        case Door.SAGEMAKER:
            announce("SageMaker's container contract: everybody who reaches this port is answered, without a key")
            _log.warning("sagemaker_contract", host=options.host, port=port, key="none", paths="/ping, /invocations")


def _log_certificate(certificate: Certificate) -> None:
    _log.info("fast_path", verdict=certificate.verdict.value, digest=certificate.model_digest)


# Columns of few values, which a dictionary makes small, and those that readers leave row groups out by. To look at all others costs
# more than everything else that is done for a prediction.
REPEATED = ("request_id", "version", "version_digest", "role", "caller", "prediction")
SORTED = ("time_ms", "served_ms", "prediction_id", "version")


class FolderSink:
    """Keep captured predictions as Parquet files below a folder, one folder a model."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def accept(self, endpoint: str, table: pa.Table) -> None:
        into = self._folder / endpoint
        into.mkdir(parents=True, exist_ok=True)
        path = into / f"{new_id()}.parquet"
        part = path.with_suffix(".part")
        pq.write_table(table, part, use_dictionary=list(REPEATED), write_statistics=list(SORTED))
        part.replace(path)
        sync_folder(into)

    def lost(self, endpoint: str, rows: Mapping[LossKind, int]) -> None:
        _log.error("predictions_lost", model=endpoint, **{kind.value: count for kind, count in rows.items()})


class Uncaptured:
    """A capture that keeps nothing, because it was turned off."""

    def offer(self, *batches: PredictionBatch) -> bool:  # noqa: ARG002 -- the port's name
        return True


def _open_capture(
    name: str, options: ServeOptions, settings: Settings, stack: contextlib.ExitStack
) -> PredictionCapture:
    if options.captured is None:
        return Uncaptured()
    spool = Spool(
        options.captured / ".spool" / name,
        endpoint=name,
        sink=FolderSink(options.captured),
        flush_ms=settings.capture_flush_ms,
    )
    stack.callback(spool.close)
    return spool


def _key(settings: Settings) -> str:
    """Return the key that callers need, after making one where there is none.

    Raises:
        InvalidInput: the one given is too short to be safe.
        Conflict: others can read the file it is in.
    """
    path = settings.serve_key_file
    if settings.serve_key:
        key = settings.serve_key
    elif path.exists():
        if path.stat().st_mode & OTHERS:
            raise Conflict(
                f"others on this machine can read {path}; delete it, and a new key is made", field="serve_key"
            )
        key = path.read_text(encoding="utf-8").strip()
    else:
        key = secrets.token_urlsafe(KEY_BYTES)
        write_private(path, key)
    if len(key) < LEAST_KEY_LENGTH:
        raise InvalidInput(f"the key has {len(key)} characters; use {LEAST_KEY_LENGTH} or more", field="serve_key")
    return key


def _doorkeeper(options: ServeOptions, settings: Settings) -> Authorise | None:
    """Return who tells callers apart; None where everybody is let in.

    Raises:
        InvalidInput: everybody on this machine should be, and others can reach the address; or the key is too short.
        Conflict: others can read the key.
    """
    match options.door:
        case Door.KEY:
            return _authorise(_key(settings))
        case Door.LOOPBACK:
            _require_loopback(options.host)
            return None
        case Door.SAGEMAKER:
            return None


def _authorise(key: str) -> Authorise:
    def authorise(token: str, _permission: Permission) -> str:
        if not hmac.compare_digest(token.encode(), key.encode()):
            raise Unauthenticated("this is not the key of this server; see FLYBALL_SERVE_KEY and <home>/serve.key")
        return CALLER

    return authorise


def _require_loopback(host: str) -> None:
    with contextlib.suppress(ValueError):
        if host == "localhost" or ipaddress.ip_address(host).is_loopback:
            return
    raise InvalidInput(f"without a key only this machine may call, and {host} can be reached from others", field="host")


def _bind(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise InvalidInput(
            f"{host}:{port} cannot be bound ({error.strerror}); choose another --host or --port", field="port"
        ) from error
