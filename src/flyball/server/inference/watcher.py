"""Follow the routing of an endpoint: load and warm what is new, then switch; what fails leaves everything as it is."""

from __future__ import annotations

import threading
from collections.abc import Callable

from flyball.deployment import routing
from flyball.deployment.entities import Endpoint, EndpointStatus
from flyball.kernel.clock import Clock
from flyball.kernel.errors import FlyballError
from flyball.kernel.logs import get_logger
from flyball.serving.capture_rules import CaptureRules
from flyball.serving.entities import ModelFolder
from flyball.serving.plane import DataPlane, LoadedVersion, Routing
from flyball.serving.ports import Choice, Pick, Router
from flyball.serving.served_model import ServedModel

# A version that cannot be loaded is tried again, because its files may be on their way; but ever more seldom.
FIRST_RETRY_MS = 1_000
LONGEST_RETRY_MS = 60_000
HEARTBEAT_MS = 1_000
STOPPING_S = 2.0

CurrentRouting = Callable[[], Endpoint]
FetchModel = Callable[[int], ModelFolder]
Report = Callable[[EndpointStatus], None]
ConfigureCapture = Callable[[CaptureRules], None]

_log = get_logger("inference")


class RoutingWatcher:
    """Keep a data plane at the newest generation of its endpoint, in one thread.

    Args:
        plane: what is switched.
        current_routing: reads the endpoint; asked every `poll_ms`.
        fetch_model: brings the files of a version to this machine, checked against their digest.
        report: told what is loaded, at every change and once a second.
        load: makes a warm model of a folder.
        configure: told what is to be captured.
    """

    def __init__(
        self,
        plane: DataPlane,
        *,
        current_routing: CurrentRouting,
        fetch_model: FetchModel,
        report: Report,
        load: Callable[[ModelFolder], ServedModel],
        clock: Clock,
        poll_ms: int,
        url: str,
        pid: int,
        configure: ConfigureCapture = lambda _rules: None,
    ) -> None:
        self._plane = plane
        self._current_routing = current_routing
        self._fetch_model = fetch_model
        self._report = report
        self._load = load
        self._clock = clock
        self._poll_s = poll_ms / 1_000
        self._url = url
        self._pid = pid
        self._configure = configure
        self._loaded: dict[int, LoadedVersion] = {}
        self._taken_up = 0
        self._error = ""
        self._failed_generation = 0
        self._retry_after_ms = 0
        self._delay_ms = FIRST_RETRY_MS
        self._reported_ms = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="routing", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End after the present look; one that is loading a large model is not waited for."""
        self._stopping.set()
        self._thread.join(STOPPING_S)

    def look(self) -> None:
        """Look at the routing once, and take up what is new."""
        before = (self._taken_up, self._error, tuple(self._loaded))
        try:
            endpoint = self._current_routing()
        except Exception as error:  # noqa: BLE001 -- the store may be away in any way; what is loaded goes on answering
            self._error = f"the routing cannot be read: {_said(error)}"
        else:
            self._follow(endpoint)
        self._tell(changed=before != (self._taken_up, self._error, tuple(self._loaded)))

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.look()
            self._stopping.wait(self._poll_s)

    def _follow(self, endpoint: Endpoint) -> None:
        if endpoint.generation == self._taken_up and not self._error:
            return
        if endpoint.generation == self._failed_generation and self._clock.now_ms() < self._retry_after_ms:
            return
        try:
            self._take_up(endpoint)
        except Exception as error:  # noqa: BLE001 -- files and models fail in any way; the old routing stays in force
            self._postpone(endpoint.generation, error)

    def _take_up(self, endpoint: Endpoint) -> None:
        answering = {route.version for route in endpoint.routes}
        for version in sorted(answering):
            self._hold(version)
        self._configure(endpoint.capture)  # before a row is answered under the new generation
        self._plane.switch(
            Routing(
                generation=endpoint.generation,
                champion=endpoint.champion.version,
                router=router_of(endpoint),
                versions={version: self._loaded[version] for version in answering},
            )
        )
        _log.info("switched", endpoint=endpoint.name, generation=endpoint.generation, versions=sorted(answering))
        self._taken_up, self._error, self._failed_generation = endpoint.generation, "", 0
        self._delay_ms = FIRST_RETRY_MS
        # Only now: a rollback should find its version loaded, but must not wait for one, nor fail with it.
        for version in sorted(set(endpoint.versions) - answering):
            self._hold(version)
        self._loaded = {version: self._loaded[version] for version in endpoint.versions}

    def _hold(self, version: int) -> None:
        """Load a version, if that is not done yet."""
        if version in self._loaded:
            return
        try:
            folder = self._fetch_model(version)
            model = self._load(folder)
        except Exception as error:
            error.add_note(f"version {version}")
            raise
        self._loaded[version] = LoadedVersion(version=version, digest=folder.digest, model=model)
        _log.info("loaded", version=version)

    def _postpone(self, generation: int, error: Exception) -> None:
        said = _said(error)
        if said != self._error:
            unforeseen = None if isinstance(error, FlyballError) else error
            _log.error("not_taken_up", generation=generation, reason=said, exc_info=unforeseen)
        self._error = said
        if generation != self._failed_generation:
            self._failed_generation, self._delay_ms = generation, FIRST_RETRY_MS
        self._retry_after_ms = self._clock.now_ms() + self._delay_ms
        self._delay_ms = min(self._delay_ms * 2, LONGEST_RETRY_MS)

    def _tell(self, *, changed: bool) -> None:
        now = self._clock.now_ms()
        if not changed and now - self._reported_ms < HEARTBEAT_MS:
            return
        status = EndpointStatus(
            endpoint=self._plane.endpoint,
            generation=self._taken_up,
            url=self._url,
            pid=self._pid,
            heartbeat_ms=now,
            loaded=tuple(sorted(self._loaded)),
            error=self._error or self._faults(),
        )
        try:
            self._report(status)
            self._reported_ms = now
        except Exception as error:  # noqa: BLE001 -- who listens may be away; the next beat tells it again
            _log.warning("not_reported", reason=_said(error))

    def _faults(self) -> str:
        """Return what the models say that cannot answer at present."""
        faults = {version: held.model.fault for version, held in sorted(self._loaded.items())}
        return "; ".join(f"version {version}: {fault}" for version, fault in faults.items() if fault)


def router_of(endpoint: Endpoint) -> Router:
    """Return the choice that an endpoint's routes make."""
    routes, salt = endpoint.routes, endpoint.salt

    def choose(key: str) -> Choice:
        answer = routing.choose(routes, salt, key)
        watching = routing.shadows(routes, salt, key)
        return Choice(
            answer=Pick(version=answer.version, role=answer.role.value),
            shadows=tuple(Pick(version=route.version, role=route.role.value) for route in watching),
        )

    return choose


def _said(error: Exception) -> str:
    """Return what an error says, without the inner text of those that are not ours."""
    where = ": ".join(getattr(error, "__notes__", []))
    said = error.message if isinstance(error, FlyballError) else f"{type(error).__name__}, see the log of the endpoint"
    return f"{where}: {said}" if where else said
