"""Accuracy and hits by block."""

from __future__ import annotations

import pytest

from flyball.kernel.errors import InvalidInput
from flyball.measures.quality import accuracy, hits_per_block


def test_accuracy_is_the_share_of_hits() -> None:
    assert accuracy(3, 4) == 0.75


@pytest.mark.parametrize(("hits", "rows"), [(0, 0), (5, 4), (-1, 4)])
def test_there_is_no_accuracy_of_nothing(hits: int, rows: int) -> None:
    with pytest.raises(InvalidInput, match="no accuracy"):
        accuracy(hits, rows)


def test_hits_are_counted_in_blocks_of_time() -> None:
    found = hits_per_block([True, False, True, True], [5, 9, 10, 31], block_ms=10)
    assert (found.blocks.tolist(), found.hits.tolist(), found.rows.tolist()) == ([0, 1, 3], [1, 1, 1], [2, 1, 1])


def test_blocks_begin_at_their_origin() -> None:
    found = hits_per_block([True, True, True], [2, 3, 13], block_ms=10, origin_ms=3)
    assert (found.blocks.tolist(), found.rows.tolist()) == ([-1, 0, 1], [1, 1, 1])


def test_no_rows_have_no_blocks() -> None:
    assert hits_per_block([], [], block_ms=10).rows.tolist() == []


def test_impossible_blocks_are_refused() -> None:
    with pytest.raises(InvalidInput, match="no pair"):
        hits_per_block([True], [1, 2], block_ms=10)
    with pytest.raises(InvalidInput, match="no length"):
        hits_per_block([True], [1], block_ms=0)
