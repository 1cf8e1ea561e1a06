"""Messages about evaluation datasets. Tags and records travel as JSON inside of text, as the protocol has it."""

from __future__ import annotations

from flyball.wire.mlflow.message import Int64, Message


class EvaluationDataset(Message):
    """A dataset, without its records."""

    dataset_id: str
    name: str
    tags: str
    digest: str
    created_time: int
    last_update_time: int
    schema: str | None = None
    profile: str | None = None
    created_by: str | None = None
    last_updated_by: str | None = None
    experiment_ids: tuple[str, ...] = ()


class DatasetAnswer(Message):
    """Answer: one dataset."""

    dataset: EvaluationDataset


class EvaluationDatasets(Message):
    """Answer: a page of datasets."""

    datasets: tuple[EvaluationDataset, ...] = ()
    next_page_token: str | None = None


class ExperimentIds(Message):
    """Answer: the experiments of a dataset."""

    experiment_ids: tuple[str, ...] = ()


class Records(Message):
    """Answer: a page of records, as a JSON list."""

    records: str
    next_page_token: str | None = None


class Upserted(Message, omit_defaults=False):
    """Answer: how many inputs were new, and how many known."""

    inserted_count: int
    updated_count: int


class Deleted(Message, omit_defaults=False):
    """Answer: how many records were removed."""

    deleted_count: int


class CreateDataset(Message):
    """Request: make a dataset."""

    name: str | None = None
    experiment_ids: tuple[str, ...] | None = None
    tags: str | None = None


class SearchEvaluationDatasets(Message):
    """Request: search datasets."""

    experiment_ids: tuple[str, ...] | None = None
    filter_string: str | None = None
    max_results: Int64 | None = None
    order_by: tuple[str, ...] | None = None
    page_token: str | None = None


class DatasetTags(Message):
    """Request: set tags, a JSON object."""

    tags: str | None = None


class UpsertRecords(Message):
    """Request: write records, a JSON list."""

    records: str | None = None


class GetRecords(Message):
    """Request: a page of records."""

    max_results: Int64 | None = None
    page_token: str | None = None


class DeleteRecords(Message):
    """Request: remove records."""

    dataset_record_ids: tuple[str, ...] | None = None


class DatasetExperiments(Message):
    """Request: add a dataset to experiments, or remove it from them."""

    experiment_ids: tuple[str, ...] | None = None
