"""The worker's desk: studies are computed one at a time, in a thread, so that monitors and rollouts do not wait for them."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from flyball.kernel.errors import Conflict
from flyball.kernel.logs import get_logger
from flyball.monitoring.studies.entities import StudyState
from flyball.monitoring.studies.verbs import Studies

# A study takes a processor for itself.
AT_ONCE = 1
LOOKED_AT = 20

_log = get_logger("worker")


class Desk:
    """Starts what is queued, oldest first; any number of workers may have one."""

    def __init__(self, studies: Studies, *, holder: str) -> None:
        self._studies = studies
        self._holder = holder
        self._stopping = False
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="study")
        self._running: Future[None] | None = None

    def turn(self) -> bool:
        """Queue again what was lost, start what is queued, and return whether anything was done."""
        swept = bool(self._studies.sweep_lost())
        if self._running is not None and not self._running.done():
            return swept
        self._running = None
        queued = self._studies.list(states={StudyState.QUEUED}, limit=LOOKED_AT)
        if not queued:
            return swept
        self._running = self._pool.submit(self._compute, [study.id for study in reversed(queued)])
        return True

    def stop(self) -> None:
        """Ask for the end of what is being computed; it is queued again. Safe in a signal handler."""
        self._stopping = True

    def close(self) -> None:
        """Wait for that end."""
        self.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _compute(self, queued: list[str]) -> None:
        """Compute the first of the studies that nobody else has."""
        for study_id in queued:
            if self._stopping:
                return
            try:
                self._studies.execute(study_id, holder=self._holder, stopping=lambda: self._stopping)
            except Conflict as error:  # somebody else has it, or it was cancelled
                _log.debug("study_left", study=study_id, message=error.message)
            except Exception as error:  # noqa: BLE001 -- the end of this thread: whatever it was goes to the log
                _log.error("study_left", study=study_id, exc_info=error)
