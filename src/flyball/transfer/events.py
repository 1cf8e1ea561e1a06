"""What transfer reports to the event log: one event for each thing that was taken over, in the transaction of its rows."""

from __future__ import annotations

from flyball.kernel.events import EventKind


class TransferEvent(EventKind):
    """The kinds of events of this room."""

    FINISHED = "import.finished"
    EXPERIMENT_ADDED = "import.experiment_added"
    RUN_ADDED = "import.run_added"
    RUN_BEGUN = "import.run_begun"
    LOGGED_MODEL_ADDED = "import.logged_model_added"
    FILES_ADDED = "import.files_added"
    MODEL_ADDED = "import.registered_model_added"
    VERSION_ADDED = "import.model_version_added"
