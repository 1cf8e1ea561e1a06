"""What serving speaks of: columns, signatures, model folders, predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
"""A one-dimensional array, one entry a row. Texts are kept as `object`, with None where one is missing."""

Columns: TypeAlias = Mapping[str, Array]
"""Arrays of one length by column name."""


class ColumnKind(StrEnum):
    """The types of the MLflow signature that a table of features is made of."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    LONG = "long"
    FLOAT = "float"
    DOUBLE = "double"
    STRING = "string"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSpec:
    """A column that a model wants. One that is not required may be left out when its kind can say "missing" (NaN)."""

    name: str
    kind: ColumnKind
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The columns a model wants, in its order, and the type of its label where that is stated.

    `named` is False for a model that was fitted on a nameless matrix.
    """

    inputs: tuple[ColumnSpec, ...]
    output: ColumnKind | None = None
    named: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns in order."""
        return tuple(spec.name for spec in self.inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """What the MLmodel file of a folder says. `flavour` is the name of ours that loads it, `options` its section."""

    folder: Path
    flavour: str
    options: Mapping[str, object]
    signature: Signature
    requirements: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFolder:
    """The files of a model version on this machine, and the digest of their tree."""

    path: Path
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a model says: `labels` (n,) of bool, int64, float64 or text; `scores` (n,) the probability of each label, in 0..1.

    `scores` is None for a model that gives no probabilities.
    """

    labels: Array
    scores: npt.NDArray[np.float64] | None
