"""Frames of Polars are compared as the Arrow tables they are made of."""

from __future__ import annotations

import numpy as np
import polars as pl

from flyball.monitoring import compare


def _frame(seed: int, shift: float = 0.0) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "size": generator.normal(shift, 1, 2_000),
            "rooms": generator.integers(1, 6, 2_000),
            "heated": generator.random(2_000) < 0.5,
            "town": generator.choice(["a", "b", "c"], 2_000),
        },
        schema_overrides={"town": pl.Categorical},
    )


def test_frames_of_polars_are_compared_as_arrow_tables_are() -> None:
    ours, theirs = _frame(1), _frame(2, shift=1.0)
    found = compare(ours, theirs)
    assert found.drifted == ("size",)
    assert {one.name: str(one.kind) for one in found.columns} == {
        "size": "numeric",
        "rooms": "numeric",
        "heated": "boolean",
        "town": "categorical",
    }
    assert found.to_json() == compare(ours.to_arrow(), theirs.to_pandas()).to_json()
