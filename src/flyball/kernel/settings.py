"""Settings: one frozen value, read here and nowhere else, from the environment and from `flyball.toml`.

Order of precedence: `FLYBALL_<NAME>` in the environment, then `<name>` in `$FLYBALL_HOME/flyball.toml`, then the default.
A key that nobody knows is an error in both places.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast, get_type_hints

from flyball.kernel.errors import InvalidInput, UnknownKey
from flyball.kernel.secrets import FOLDER, SECRET_PREFIX

PREFIX = "FLYBALL_"
FILE_NAME = "flyball.toml"
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_FROM_ZERO_TO = {
    "port": 65_535,
    "trace_percent": 100,
    "otlp_metrics_s": 3_600,
    "prediction_keep_days": 36_500,
    "alert_delivery_keep_days": 36_500,
    "study_keep_days": 36_500,
}
_CHOICES = {
    "log_level": ("debug", "info", "warning", "error"),
    "log_format": ("console", "json"),
    "isolation": ("auto", "always", "never"),
    "monitors": ("propose", "set"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, with its default. The text beside each field is its documentation."""

    home: Path = Path("~/.flyball")
    """Folder of the database, the artifacts, the spools and the owner token."""
    database_url: str = field(default="", repr=False)
    """SQLAlchemy URL (`sqlite:///...` or `postgresql+psycopg://...`); empty means `<home>/flyball.db`."""
    artifacts_url: str = ""
    """Where artifact bytes live (`file:///...` or `s3://bucket/prefix`); empty means `<home>/artifacts`."""
    s3_endpoint: str = ""
    """URL of an S3-compatible server other than AWS."""
    s3_region: str = "us-east-1"
    """Region of the bucket."""
    s3_access_key_id: str = field(default="", repr=False)
    """Access key of the bucket; empty means the environment's AWS credentials."""
    s3_secret_access_key: str = field(default="", repr=False)
    """Secret key of the bucket."""
    host: str = "127.0.0.1"
    """Address the server binds."""
    port: int = 5757
    """Port the server binds."""
    server_url: str = ""
    """URL where the command line, the worker and training steps reach the server; empty means `http://<host>:<port>`."""
    allowed_hosts: str = ""
    """Comma-separated host names accepted in the Host header besides the loopback names."""
    token: str = field(default="", repr=False)
    """Access token for the command line and the SDK; empty means the owner token in `<home>/owner.token`."""
    log_level: str = "info"
    """`debug`, `info`, `warning` or `error`."""
    log_format: str = "console"
    """`console` for people, `json` for machines."""
    lease_ttl_ms: int = 30_000
    """Milliseconds after which a silent holder counts as lost."""
    worker_poll_ms: int = 500
    """Milliseconds between two rounds of the worker."""
    capture_flush_ms: int = 1_000
    """Milliseconds after which captured predictions are on disk; what a `kill -9` can lose at most."""
    capture_hash_key: str = field(default="", repr=False)
    """Secret that captured columns are hashed with, the same on every machine that serves; empty means the one in `<home>/capture.key`."""
    endpoint_poll_ms: int = 200
    """Milliseconds between two looks of a model server at its routing."""
    warm_modules: str = ""
    """Comma-separated modules that the worker's children find loaded already (for example `sklearn,mlflow.sklearn`), which saves each
    step seconds of imports; empty means that every child is a fresh interpreter."""
    step_timeout_s: int = 3_600
    """Seconds that one pipeline step may take."""
    study_timeout_s: int = 3_600
    """Seconds that one calibration or backtest may take in the background."""
    max_request_bytes: int = 67_108_864
    """Largest JSON request body accepted, in bytes (artifact uploads stream and have their own limit)."""
    max_artifact_bytes: int = 5_368_709_120
    """Largest single artifact accepted, in bytes."""
    journal_folder: str = ""
    """Folder of the journals in which training processes write what they log before it is sent; empty means `<home>/journal`."""
    journal_max_bytes: int = 10_737_418_240
    """Bytes that all journals of the folder may hold together; beyond it, points and files are dropped, which is said and counted."""
    journal_sync_ms: int = 200
    """Milliseconds after which a journal's records are safe from a loss of power; a killed process loses none."""
    journal_exit_s: int = 10
    """Seconds that a process which logs waits at its exit for its journal to be sent; the rest is left to the next one."""
    egress_hosts: str = "*"
    """Comma-separated hosts that webhooks and alerts may go to: `*` (every host with a public address), `hooks.example.com`,
    `*.example.com`, `host:8443`, `http://host` (plain HTTP); a host named in full may have a private address. Empty means none."""
    egress_timeout_s: int = 10
    """Seconds after which a request to the outside is given up."""
    webhook_attempts: int = 8
    """Attempts at one delivery of a webhook or of an alert, with pauses that grow from one second to an hour, before it is given up."""
    grpc_ports: str = ""
    """Comma-separated `endpoint:port`: where model servers answer over gRPC too (`flyball[grpc]`); empty means nowhere."""
    otlp_endpoint: str = ""
    """URL of an OpenTelemetry receiver (OTLP over HTTP, `http://127.0.0.1:4318`) that model servers send traces and metrics to, and the
    worker the metrics of monitoring; empty means none. Needs `flyball[otel]`."""
    otlp_metrics_s: int = 60
    """Seconds between two sendings of metrics, where a receiver is set; 0 sends none, at most 3600."""
    trace_percent: int = 10
    """Of the requests that bring no trace of their own, how many in a hundred are traced, where a receiver is set; 0 to 100."""
    metrics_features: int = 50
    """Features of a monitor that are told to metrics systems one by one, those that drifted most first; the others are counted."""
    request_timeout_ms: int = 60_000
    """Milliseconds after which a model server gives up a request that brings no time limit of its own."""
    bodies_bytes: int = 536_870_912
    """Bytes of requests that a model server holds at once, over all its models; beyond it they are told to come again."""
    queue_requests: int = 1_024
    """Requests that may wait for one version of a model; beyond it they are told to come again."""
    queue_bytes: int = 268_435_456
    """Bytes of the requests that may wait for one version of a model, likewise."""
    batch_rows: int = 1_024
    """Rows of waiting requests that a model is given at once; a larger request is a batch of its own."""
    batch_bytes: int = 16_777_216
    """Bytes of waiting requests that a model is given at once, likewise."""
    cloudwatch_namespace: str = ""
    """Namespace of Amazon CloudWatch that the worker puts the figures of monitors into; empty means none. Needs `flyball[cloudwatch]`,
    and credentials and a region from AWS' own chain."""
    cloudwatch_s: int = 60
    """Seconds between two of these puts."""
    serve_key: str = field(default="", repr=False)
    """Key that callers of `flyball serve` send as bearer token; empty means the one in `<home>/serve.key`, made when there is none."""
    allow_pickle: bool = False
    """Whether a model server may load models stored as pickle; the server itself never does."""
    prediction_keep_days: int = 0
    """Days after which predictions and their labels are removed from the prediction log, file by file; 0 keeps them for ever."""
    alert_delivery_keep_days: int = 90
    """Days after which finished deliveries of alerts are removed, once all that they told of is resolved; 0 keeps them for ever."""
    study_keep_days: int = 90
    """Days after which calibrations and backtests in the background are removed, with their results; a calibration in force stays.
    0 keeps them for ever."""
    monitors: str = "propose"
    """What becomes of an endpoint without a monitor whose version carries a reference: `propose` shows it and leaves it to
    `flyball monitor init`, `set` sets the proposed monitor once there is traffic."""
    isolation: str = "auto"
    """Which models run in a process of their own: `auto` (those whose requirements differ from what is installed, in an environment
    made from them), `always` (all), `never` (none: a model that differs is tried in the model server)."""
    isolation_memory_bytes: int = 1_099_511_627_776
    """Bytes that an isolated model may take, with everything that it starts (Linux)."""
    isolation_make_s: int = 1_800
    """Seconds that one step of making a model's environment may take."""
    isolation_start_s: int = 120
    """Seconds that an isolated model may take to load."""
    isolation_predict_s: int = 300
    """Seconds that an isolated model may take for one prediction before its process counts as hung and is ended."""
    isolation_keep_days: int = 30
    """Days after which an environment that no model has used is removed, when another one is made."""
    fast_path: bool = True
    """Whether a model is served from its conversion to ONNX where that is proven to give the same answers."""
    fast_path_difference_ppm: int = 10
    """How far the answers of the conversion may differ, in parts per million (of the value where it is above one); labels never."""
    fast_path_sample_rows: int = 5
    """Rows of a real sample (the model's input example) from which on a conversion is compared at all."""

    @property
    def resolved_database_url(self) -> str:
        """The database URL with the default filled in."""
        return self.database_url or f"sqlite:///{self.home / 'flyball.db'}"

    @property
    def resolved_artifacts_url(self) -> str:
        """The artifact URL with the default filled in."""
        return self.artifacts_url or (self.home / "artifacts").as_uri()

    @property
    def resolved_journal_folder(self) -> Path:
        """The folder of the journals with the default filled in."""
        return Path(self.journal_folder).expanduser().absolute() if self.journal_folder else self.home / "journal"

    @property
    def secrets_folder(self) -> Path:
        """The folder of the secrets that documents refer to as `file:NAME`."""
        return self.home / FOLDER

    @property
    def owner_token_file(self) -> Path:
        """The file that holds the owner's token, on the account that runs the server."""
        return self.home / "owner.token"

    @property
    def serve_key_file(self) -> Path:
        """The file that holds the key of `flyball serve`, on the account that runs it."""
        return self.home / "serve.key"

    @property
    def resolved_server_url(self) -> str:
        """The server URL with the default filled in."""
        return self.server_url or f"http://{self.host}:{self.port}"


_TYPES: dict[str, Any] = get_type_hints(Settings)
# What a log or an error message must not show: the fields that the settings' own repr leaves out.
_SECRET = frozenset(setting.name for setting in fields(Settings) if not setting.repr)


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Raises:
        UnknownKey: a `FLYBALL_` variable or a key of the file that no setting has.
        InvalidInput: a value of the wrong type or out of range, with the place it came from.
    """
    environ = os.environ if environ is None else environ
    named = {
        key: value for key, value in environ.items() if key.startswith(PREFIX) and not key.startswith(SECRET_PREFIX)
    }
    given = {key[len(PREFIX) :].lower(): value for key, value in named.items()}
    home = _home(given)
    values: dict[str, object] = {}
    for key, value in _read_file(home / FILE_NAME).items():
        values[key] = _parse(key, value, source=str(home / FILE_NAME))
    for key, value in given.items():
        values[key] = _parse(key, value, source=f"environment variable {PREFIX}{key.upper()}")
    values["home"] = home
    return Settings(**values)  # type: ignore[arg-type]


def _home(given: Mapping[str, str]) -> Path:
    text = given.get("home", "~/.flyball")
    if not text.strip():
        raise InvalidInput(f"environment variable {PREFIX}HOME is empty; give it a folder, or unset it", field="home")
    return Path(text).expanduser().absolute()


def _read_file(path: Path) -> dict[str, object]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is no TOML: {error}", field=str(path)) from error
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", field=str(path)) from error
    if "home" in values:
        raise InvalidInput(f"{path} cannot say where it lies itself; set {PREFIX}HOME instead of 'home'", field="home")
    return values


def _parse(key: str, value: object, *, source: str) -> object:
    if key not in _TYPES:
        raise UnknownKey.among(key, _TYPES, where=source)
    wanted = _TYPES[key]
    try:
        parsed = _convert(value, wanted)
    except ValueError as error:
        expected = {bool: "true or false", int: "a whole number", str: "text", Path: "a path"}[wanted]
        shown = "this" if key in _SECRET else f"'{value}'"
        raise InvalidInput(f"{source}: {shown} is not {expected}", field=key) from error
    _check_range(key, parsed, source=source)
    return parsed


def _check_range(key: str, value: object, *, source: str) -> None:
    if key in _CHOICES and value not in _CHOICES[key]:
        raise InvalidInput(f"{source}: '{value}' is none of {', '.join(_CHOICES[key])}", field=key)
    if key in _FROM_ZERO_TO and not 0 <= cast("int", value) <= _FROM_ZERO_TO[key]:
        raise InvalidInput(f"{source}: {value} is out of range; use 0 to {_FROM_ZERO_TO[key]}", field=key)
    if _TYPES[key] is int and key not in _FROM_ZERO_TO and cast("int", value) < 1:
        raise InvalidInput(f"{source}: {value} is too small; use 1 or more", field=key)


def _convert(value: object, wanted: type) -> object:
    if wanted is bool:
        return _boolean(value)
    if wanted is int and not isinstance(value, bool):
        return int(str(value))
    if isinstance(value, str):
        return Path(value).expanduser().absolute() if wanted is Path else value
    raise ValueError(value)


def _boolean(value: object) -> bool:
    text = str(value).lower()
    if text not in _TRUE | _FALSE:
        raise ValueError(value)
    return text in _TRUE
