from __future__ import annotations

import pytest

from flyball.kernel import errors
from flyball.kernel.errors import ErrorCode, FlyballError, MissingExtra, UnknownKey


def tree(root: type[FlyballError]) -> set[type[FlyballError]]:
    return {root}.union(*(tree(child) for child in root.__subclasses__()))


KERNEL = {error for error in tree(FlyballError) if error.__module__ == errors.__name__}


def test_every_code_belongs_to_one_error() -> None:
    assert sorted(error.code for error in KERNEL) == sorted(ErrorCode)


def test_the_drawing_of_the_tree_is_the_tree() -> None:
    drawn = [line for line in (errors.__doc__ or "").splitlines() if "──" in line]
    assert {line.split("── ")[1].split()[0] for line in drawn} == {error.__name__ for error in KERNEL - {FlyballError}}


def test_only_a_passing_fault_is_worth_a_retry() -> None:
    passing = {ErrorCode.DEADLINE_EXCEEDED, ErrorCode.OVERLOADED, ErrorCode.UNAVAILABLE}
    assert {error.code for error in KERNEL if error.retryable} == passing


def test_an_unknown_key_comes_with_its_near_misses() -> None:
    error = UnknownKey.among("tresholds", ["thresholds", "windows"], where="monitor.yaml")
    assert (error.message, error.field) == (
        "unknown key 'tresholds' in monitor.yaml; did you mean thresholds?",
        "tresholds",
    )


def test_an_unknown_key_without_near_misses_comes_with_all_known_ones() -> None:
    assert UnknownKey.among("zzz", ["b", "a"], where="x").message == "unknown key 'zzz' in x; known: a, b"


def test_a_missing_library_names_its_extra() -> None:
    with pytest.raises(MissingExtra, match=r"skops is not installed; .* 'flyball\[sklearn\]'"):
        raise MissingExtra.named("skops", "sklearn")
