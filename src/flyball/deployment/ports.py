"""The ports of deployment: where endpoints and rollouts are kept, and what their processes report."""

from __future__ import annotations

from typing import Protocol

from flyball.deployment.entities import Endpoint, EndpointStatus, Rollout, RolloutId


class EndpointStore(Protocol):
    """Keep endpoints and rollouts.

    Threads and processes: any number. A change is a compare-and-set on what the caller read, so of two that started from
    the same state one wins and the other gets a Conflict. Atomicity: each verb joins the transaction of the calling thread.
    """

    def add_endpoint(self, endpoint: Endpoint) -> None:
        """Keep a new endpoint.

        Raises:
            AlreadyExists: the name is taken.
        """
        ...

    def swap_endpoint(self, endpoint: Endpoint, *, expected_generation: int) -> None:
        """Replace an endpoint that is still at the expected generation.

        Raises:
            Conflict: it is not; nothing was changed.
        """
        ...

    def find_endpoint(self, name: str) -> Endpoint | None:
        """Return an endpoint, None when there is none of that name."""
        ...

    def list_endpoints(self) -> list[Endpoint]:
        """Return all endpoints by name."""
        ...

    def add_rollout(self, rollout: Rollout) -> None:
        """Keep a new rollout."""
        ...

    def swap_rollout(self, rollout: Rollout, *, expected_looks: int) -> None:
        """Replace a rollout that still runs and has been looked at as often as expected.

        Raises:
            Conflict: it ended, or somebody looked meanwhile; nothing was changed.
        """
        ...

    def find_rollout(self, rollout_id: RolloutId) -> Rollout | None:
        """Return a rollout, None when there is none of that id."""
        ...

    def list_rollouts(self, *, endpoint: str | None = None) -> list[Rollout]:
        """Return rollouts, newest first; those of one endpoint when it is named."""
        ...


class StatusStore(Protocol):
    """Keep the newest report of each endpoint's process. Reports are no events: they come every second."""

    def put_status(self, status: EndpointStatus) -> None:
        """Replace the report of an endpoint, unless a later one is there already."""
        ...

    def find_status(self, endpoint: str) -> EndpointStatus | None:
        """Return the newest report, None when the process never reported."""
        ...


class DeploymentStore(EndpointStore, StatusStore, Protocol):
    """Both, as the service wants them."""
