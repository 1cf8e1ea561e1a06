"""How far a study is, written down while it is computed; and its end, when its time is over or nobody wants it any more."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from flyball.kernel.db import Database
from flyball.kernel.errors import DeadlineExceeded
from flyball.monitoring.studies.entities import Study, StudyState
from flyball.monitoring.studies.ports import StudyStore

# How often at most the progress is written down.
TELL_EVERY_S = 1.0


class Interrupted(Exception):
    """Whoever computes has to stop."""


class Teller:
    """Hears how far a study is. `study` is what was written down last."""

    def __init__(
        self,
        store: StudyStore,
        study: Study,
        *,
        database: Database,
        fence: Callable[[], None],
        stopping: Callable[[], bool],
        timeout_s: float,
    ) -> None:
        self.study = study
        self._store = store
        self._database = database
        self._fence = fence
        self._stopping = stopping
        self._timeout_s = timeout_s
        self._began = time.monotonic()
        self._again = self._began

    def __call__(self, stage: str, done: int, total: int, /) -> None:
        """Write down how far it is, once a second and at each new stage.

        Raises:
            Interrupted: the process ends.
            DeadlineExceeded: it took too long.
            Conflict: it was cancelled, or is somebody else's by now.
        """
        now = time.monotonic()
        if self._stopping():
            raise Interrupted
        if now - self._began > self._timeout_s:
            raise DeadlineExceeded(
                f"it took longer than {self._timeout_s:g} s and was at {done} of {total} ({stage}); "
                "take a shorter stretch of history, or raise the setting study_timeout_s"
            )
        if stage == self.study.stage and now < self._again:
            return
        self._again = now + TELL_EVERY_S
        self.study = replace(self.study, stage=stage, done=done, total=total)
        with self._database.transaction():
            self._fence()
            self._store.change(self.study, expected=StudyState.RUNNING)
