"""What runs, experiments and logged models can be searched by."""

from __future__ import annotations

from flyball.tracking.search.clauses import (
    LIST_OPERATORS,
    PRESENCE_OPERATORS,
    TEXT_OPERATORS,
    Field,
    Vocabulary,
    Wording,
)

RUNS = Vocabulary(
    noun="runs",
    fields=frozenset(Field),
    numbers=frozenset({"start_time", "end_time"}),
    texts=frozenset({"run_id", "run_name", "user_id", "status", "artifact_uri"}),
    lists=frozenset({"run_id"}),
    aliases={
        "created": "start_time",
        "Created": "start_time",
        "run name": "run_name",
        "Run name": "run_name",
        "Run Name": "run_name",
    },
)

EXPERIMENTS = Vocabulary(
    noun="experiments",
    fields=frozenset({Field.ATTRIBUTE, Field.TAG}),
    numbers=frozenset({"creation_time", "last_update_time"}),
    texts=frozenset({"name", "experiment_id"}),
    lists=frozenset({"experiment_id"}),
)

MODELS = Vocabulary(
    noun="logged models",
    fields=frozenset({Field.ATTRIBUTE, Field.METRIC, Field.PARAM, Field.TAG}),
    numbers=frozenset({"creation_timestamp", "last_updated_timestamp"}),
    texts=frozenset({"name", "model_id", "model_type", "status", "source_run_id"}),
    lists=frozenset({"name", "model_id", "model_type", "status", "source_run_id"}),
    keyed=TEXT_OPERATORS + LIST_OPERATORS + PRESENCE_OPERATORS,
    aliases={
        "creation_time": "creation_timestamp",
        "creation_timestamp_ms": "creation_timestamp",
        "last_updated_time": "last_updated_timestamp",
        "last_updated_timestamp_ms": "last_updated_timestamp",
    },
    wording=Wording(clause="Invalid filter string", comparator="Invalid comparison operator"),
)
