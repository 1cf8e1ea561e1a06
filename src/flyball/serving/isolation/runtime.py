"""A model in a process of its own behind the same port as one in memory."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping

from flyball.kernel.errors import Unavailable
from flyball.serving.entities import Columns, Prediction
from flyball.serving.isolation.messages import PREDICT, pack_columns, unpack_prediction
from flyball.serving.isolation.model_process import ModelProcess, Recipe
from flyball.serving.isolation.supervisor import RestartPolicy, Supervisor
from flyball.serving.signature import row_count

DRAIN_S = 10.0


class RemoteRuntime:
    """A model that is predicted with over a socket. Any number of threads may predict at once.

    What a prediction costs when the process dies of it is an `Unavailable` for those who are in it; the process is started
    again. It ends with `close`, with the last reference to this, and with our own process, however that ends.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        environment: str,
        policy: RestartPolicy | None = None,
        at_end: Callable[[], None] = lambda: None,
    ) -> None:
        """Start the process and wait until it has loaded the model. `at_end` is called once, when there will be none any more.

        Raises:
            FlyballError: the model cannot be loaded; as its flavour says it.
        """
        self._supervisor = Supervisor(
            lambda: ModelProcess(recipe), model=recipe.model, policy=policy or RestartPolicy(), at_end=at_end
        )
        self._libraries: Mapping[str, str] = self._supervisor.begin().libraries
        self._environment = environment
        self._forget = weakref.finalize(self, self._supervisor.end_at_once)

    @property
    def place(self) -> str:
        """Where the model runs, with the versions of Python and of the libraries that are known there."""
        known = ", ".join(f"{name} {version}" for name, version in self._libraries.items())
        return f"in a process of its own, {self._environment}: {known}"

    @property
    def fault(self) -> str:
        """Why the model cannot answer at present; empty while it can."""
        return self._supervisor.fault

    @property
    def pid(self) -> int:
        """The process that answers at present.

        Raises:
            Unavailable: there is none.
        """
        return self._supervisor.process().pid

    @property
    def resident_bytes(self) -> int:
        """The memory that its process takes at present; 0 while there is none."""
        import psutil

        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except (psutil.Error, Unavailable):
            return 0

    def predict(self, columns: Columns) -> Prediction:
        process = self._supervisor.process()
        words, arrays = pack_columns(columns)
        answer = process.ask(PREDICT, words=words, arrays=arrays)
        return unpack_prediction(answer, rows=row_count(columns))

    def close(self, *, drain_s: float = DRAIN_S) -> None:
        """Answer what was asked, and end the process; to be called more than once does no harm."""
        if self._forget.alive:
            self._supervisor.end(drain_s=drain_s)
            self._forget()
