"""What may be logged: the rules for names and values, and their limits. They are those of the MLflow protocol."""

from __future__ import annotations

import functools
import json
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from flyball.kernel.errors import InvalidInput
from flyball.tracking.entities import LoggedDataset, Metric

MAX_KEY_LENGTH = 250
MAX_PARAM_LENGTH = 6_000
MAX_TAG_LENGTH = 8_000
MAX_EXPERIMENT_TAG_LENGTH = 20_000
MAX_EXPERIMENT_NAME_LENGTH = 500
MAX_LOCATION_LENGTH = 2_048
MAX_RUN_NAME_LENGTH = 8_000
MAX_USER_TEXT_LENGTH = 500
MAX_DATASET_NAME_LENGTH = 500
MAX_DATASET_DIGEST_LENGTH = 36
MAX_DATASET_SOURCE_LENGTH = 65_535
MAX_DATASET_SCHEMA_LENGTH = 1_048_575
MAX_DATASET_PROFILE_LENGTH = 16_777_215
MAX_INPUT_TAG_KEY_LENGTH = 255
MAX_INPUT_TAG_LENGTH = 500
MAX_METRICS_PER_BATCH = 1_000
MAX_PARAMS_PER_BATCH = 100
MAX_TAGS_PER_BATCH = 100
MAX_ENTRIES_PER_BATCH = 1_000
MAX_DATASETS_PER_CALL = 5_000
MODEL_NAME_FORBIDDEN = ("/", ":", ".", "%", '"', "'")
_KEY = re.compile(r"[/\w.\- :]*")


def check_key(key: str, *, field: str, noun: str = "") -> str:
    """Accept the name of a metric, a param or a tag; `noun` is what an error about its length calls it.

    Raises:
        InvalidInput: it is empty, too long, has a character that is not allowed, or reads as another path.
    """
    if not key:
        raise InvalidInput(f"Missing value for required parameter '{field}'. A key name must be provided.", field=field)
    fault = _key_fault(key)
    if fault:
        shown = json.dumps(key)
        raise InvalidInput(f"Invalid value {shown} for parameter '{field}' supplied: {fault}", field=field)
    if len(key) > MAX_KEY_LENGTH:
        raise _too_long(noun or field, len(key), MAX_KEY_LENGTH)
    return key


# A training loop logs the same few keys a million times.
@functools.lru_cache(maxsize=4_096)
def _key_fault(key: str) -> str:
    if not _KEY.fullmatch(key):
        return (
            "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and "
            "slashes (/)."
        )
    normal = posixpath.normpath(key)
    if normal != key or normal == "." or normal.startswith(("..", "/")):
        return (
            "Names may be treated as files in certain cases, and must not resolve to other names when treated as such. "
            f"This name would resolve to {normal!r}"
        )
    return ""


def check_text(text: str, *, field: str, limit: int) -> str:
    """Accept text that both databases can keep.

    Raises:
        InvalidInput: it is too long, or has a NUL character, which PostgreSQL cannot store.
    """
    if "\x00" in text:
        raise InvalidInput(f"Invalid value for parameter '{field}' supplied: it has a NUL character", field=field)
    if len(text) > limit:
        raise _too_long(field, len(text), limit)
    return text


def clip_text(text: str, *, field: str, limit: int) -> str:
    """Cut text at the limit, as MLflow does with the values of params and tags, whose tails nobody misses."""
    return check_text(text[:limit], field=field, limit=limit)


def check_metric(metric: Metric, *, at: int | None) -> None:
    """Accept a point of a metric: the one at this place of a batch, or one that came alone.

    Raises:
        InvalidInput: its key is not allowed, its time is negative, or a text has a NUL character.
    """
    field = "" if at is None else f"metrics[{at}]."
    check_key(metric.key, field=f"{field}name", noun="Metric name")
    if metric.timestamp_ms < 0:
        raise InvalidInput(
            f"Invalid value {metric.timestamp_ms} for parameter '{field}timestamp' supplied: metric '{metric.key}' "
            f"(value={metric.value}). Timestamp must be a nonnegative long (64-bit integer)",
            field=f"{field}timestamp",
        )
    if metric.model_id or metric.dataset_name or metric.dataset_digest:
        for name in ("model_id", "dataset_name", "dataset_digest"):
            if text := getattr(metric, name):
                check_text(text, field=f"{field}{name}", limit=MAX_DATASET_NAME_LENGTH)


def check_batch(
    *, metrics: Sequence[Metric], params: Sequence[tuple[str, str]], tags: Sequence[tuple[str, str]]
) -> None:
    """Hold one call of log-batch to its limits.

    Raises:
        InvalidInput: too many entries, or two values for one param.
    """
    counts = {
        "metrics": (len(metrics), MAX_METRICS_PER_BATCH),
        "params": (len(params), MAX_PARAMS_PER_BATCH),
        "tags": (len(tags), MAX_TAGS_PER_BATCH),
        "metrics, params, and tags": (len(metrics) + len(params) + len(tags), MAX_ENTRIES_PER_BATCH),
    }
    for name, (count, limit) in counts.items():
        if count > limit:
            raise InvalidInput(
                f"A batch logging request can contain at most {limit} {name}. Got {count} {name}. "
                f"Please split up {name} across multiple requests and try again.",
                field=name,
            )
    twice = [key for key, count in Counter(key for key, _ in params).items() if count > 1]
    if twice:
        raise InvalidInput(
            f"Duplicate parameter keys have been submitted: {twice}. Please ensure the request contains only one param "
            "value per param key.",
            field="params",
        )


def check_model_name(name: str) -> str:
    """Accept the name of a logged model.

    Raises:
        InvalidInput: it is empty, too long, or has a character that would read as part of a path or a URI.
    """
    if not name or any(mark in name for mark in MODEL_NAME_FORBIDDEN):
        raise InvalidInput(
            f"Invalid model name ({name!r}) provided. Model name must be a non-empty string and cannot contain the "
            f"following characters: {MODEL_NAME_FORBIDDEN}",
            field="name",
        )
    return check_text(name, field="name", limit=MAX_EXPERIMENT_NAME_LENGTH)


def check_dataset(dataset: LoggedDataset) -> LoggedDataset:
    """Accept the description of a dataset.

    Raises:
        InvalidInput: a part is missing or too long.
    """
    for name in ("name", "digest", "source_type", "source"):
        if not getattr(dataset, name):
            raise InvalidInput(f"Missing value for required parameter 'dataset.{name}'.", field=f"dataset.{name}")
    limits: Mapping[str, int] = {
        "name": MAX_DATASET_NAME_LENGTH,
        "digest": MAX_DATASET_DIGEST_LENGTH,
        "source_type": MAX_DATASET_NAME_LENGTH,
        "source": MAX_DATASET_SOURCE_LENGTH,
        "schema": MAX_DATASET_SCHEMA_LENGTH,
        "profile": MAX_DATASET_PROFILE_LENGTH,
    }
    for name, limit in limits.items():
        check_text(getattr(dataset, name), field=name, limit=limit)
    return dataset


def check_input_tags(tags: Mapping[str, str]) -> None:
    """Accept the tags of a dataset that a run reads; any key will do, if it is one.

    Raises:
        InvalidInput: a key is empty, or a key or a value is too long.
    """
    for key, value in tags.items():
        if not key:
            raise InvalidInput("Missing value for required parameter 'key'.", field="datasets.tags.key")
        check_text(key, field="key", limit=MAX_INPUT_TAG_KEY_LENGTH)
        check_text(value, field="value", limit=MAX_INPUT_TAG_LENGTH)


def check_tags(tags: Iterable[tuple[str, str]], *, limit: int) -> dict[str, str]:
    """Accept tags; of two with one key the later counts.

    Raises:
        InvalidInput: a key is not allowed, or a value is too long.
    """
    return {check_key(key, field="key"): check_text(value, field="value", limit=limit) for key, value in tags}


def first_tags(tags: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Accept the tags that a run begins with: any key will do, long values are cut, of two with one key the later counts.

    MLflow checks the characters of a key only where a tag is set later, and scripts rely on it.

    Raises:
        InvalidInput: a key is empty, too long or has a NUL character.
    """
    kept: dict[str, str] = {}
    for at, (key, value) in enumerate(tags):
        field = f"tags[{at}]"
        if not key:
            raise InvalidInput(f"Missing value for required parameter '{field}.key'.", field=f"{field}.key")
        name = check_text(key, field=f"{field}.key", limit=MAX_KEY_LENGTH)
        kept[name] = clip_text(value, field=f"{field}.value", limit=MAX_TAG_LENGTH)
    return kept


def clip_tags(tags: Iterable[tuple[str, str]], *, field: str = "tags") -> dict[str, str]:
    """Accept tags of a run, cutting long values.

    Raises:
        InvalidInput: a key is not allowed.
    """
    return {
        check_key(key, field=f"{field}[{at}].key"): clip_text(value, field=f"{field}[{at}].value", limit=MAX_TAG_LENGTH)
        for at, (key, value) in enumerate(tags)
    }


def _too_long(field: str, length: int, limit: int) -> InvalidInput:
    return InvalidInput(f"'{field}' exceeds the maximum length of {limit} characters: it has {length}", field=field)
