"""What serving speaks of: columns, signatures, model folders, predictions. It runs where models run, with numpy alone (ADR 29)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
"""One entry a row: (n,), or (n, *shape) of a tensor. Texts are kept as `object`, with None where one is missing."""

Columns: TypeAlias = Mapping[str, Array]
"""Arrays of one length by column name."""


class Matrix(Mapping[str, Array]):
    """Columns of one type that lie beside each other in one array (n, k): columns like any others, and `values` as a whole.

    >>> matrix = Matrix(("a", "b"), np.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> matrix["b"].tolist(), list(matrix)
    ([2.0, 4.0], ['a', 'b'])
    """

    __slots__ = ("names", "values_by_row")

    def __init__(self, names: tuple[str, ...], values_by_row: Array) -> None:
        self.names = names
        self.values_by_row = values_by_row

    def __getitem__(self, name: str) -> Array:
        try:
            place = self.names.index(name)
        except ValueError:
            raise KeyError(name) from None
        return self.values_by_row[:, place]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


class ColumnKind(StrEnum):
    """The types of the MLflow signature that rows are made of.

    Of each kind is kept: `boolean` as bool, `integer` int32, `long` int64, `float` float32, `double` float64, `string` and
    `binary` as objects (str, bytes), `datetime` as datetime64[ns] in UTC, `tensor` as the numpy type of its spec.
    """

    BOOLEAN = "boolean"
    INTEGER = "integer"
    LONG = "long"
    FLOAT = "float"
    DOUBLE = "double"
    STRING = "string"
    BINARY = "binary"
    DATETIME = "datetime"
    TENSOR = "tensor"


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """What one row of a tensor is: a numpy type by name ("float32", "object" for texts), and a shape; -1 is any size."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSpec:
    """A column that a model wants. One that is not required may be left out when its kind can say "missing" (NaN).

    `tensor` is given for the kind `tensor` and for no other.
    """

    name: str
    kind: ColumnKind
    required: bool = True
    tensor: TensorSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The columns a model wants, in its order, and the type of its label where that is stated.

    `named` is False for a model that was fitted on a nameless matrix, or wants one nameless tensor: its names are ours.
    """

    inputs: tuple[ColumnSpec, ...]
    output: ColumnKind | None = None
    named: bool = True
    names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """The names of the columns in order."""
    kinds: frozenset[ColumnKind] = field(init=False, repr=False, compare=False)
    """The kinds that there are among the columns."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(spec.name for spec in self.inputs))  # looked at for every batch
        object.__setattr__(self, "kinds", frozenset(spec.kind for spec in self.inputs))


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
    """What a model says of n rows.

    `labels` (n,) or (n, k): what its `predict` returns, as bool, int64, float64 or text.
    `scores` (n,): the probability of each label, in 0..1; None for a model that gives no probabilities.
    `probabilities` (n, classes) and `classes` (classes,): of every class, where the model gives them.
    `outputs` (n, ...): what else it returns, by name, in its own types.
    """

    labels: Array
    scores: npt.NDArray[np.float64] | None
    probabilities: npt.NDArray[np.float64] | None = None
    classes: Array | None = None
    outputs: Mapping[str, Array] = field(default_factory=dict)

    def rows(self, start: int, stop: int) -> Prediction:
        """Return what it says of some of the rows; nothing is copied."""
        return Prediction(
            labels=self.labels[start:stop],
            scores=None if self.scores is None else self.scores[start:stop],
            probabilities=None if self.probabilities is None else self.probabilities[start:stop],
            classes=self.classes,
            outputs={name: values[start:stop] for name, values in self.outputs.items()}
            if self.outputs
            else self.outputs,
        )


def join_columns(parts: Sequence[Columns]) -> Columns:
    """Put rows that fit one signature below each other, in the order of the parts."""
    if len(parts) == 1:
        return parts[0]
    matrices = [part for part in parts if isinstance(part, Matrix)]
    if len(matrices) == len(parts):
        return Matrix(matrices[0].names, np.concatenate([part.values_by_row for part in matrices]))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
