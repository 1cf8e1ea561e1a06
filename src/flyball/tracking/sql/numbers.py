"""Experiment ids are numbers in the database and text everywhere else."""

from __future__ import annotations

from collections.abc import Iterable

# The longest run of digits that always fits into 64 bits.
MAX_DIGITS = 18


def experiment_number(experiment_id: str) -> int | None:
    """Read an id; a text that is none of ours has no number."""
    ours = experiment_id.isascii() and experiment_id.isdigit() and len(experiment_id) <= MAX_DIGITS
    return int(experiment_id) if ours else None


def experiment_numbers(experiment_ids: Iterable[str]) -> list[int]:
    """Read ids, leaving out those that are none of ours."""
    found = (experiment_number(text) for text in experiment_ids)
    return [number for number in found if number is not None]
