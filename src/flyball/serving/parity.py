"""Does a converted model say what the original says? The comparison, and the certificate that keeps it.

A difference is counted relative to the value where that is above one, and absolute below; labels must agree in every row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum

import msgspec
import numpy as np

from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import Corrupted, InvalidInput
from flyball.serving.entities import Array, Columns, Prediction

PARTS_PER_MILLION = 1_000_000
_TEXT = "O"


class Parity(StrEnum):
    """What a comparison comes to. Undecided is never a pass."""

    WITHIN = "within"
    BEYOND = "beyond"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How far answers may be apart (in parts per million), and from how many rows of a real sample on that can be told."""

    difference_ppm: int
    sample_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How far two predictions of the same rows are apart; infinite where one has a value and the other has none."""

    absolute: float
    relative: float
    label_agreement: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to ask the converted model.

    `order` is that of its matrix, empty where it takes each column by its name. `task` says what its output `output` is:
    probabilities of `classes`, the probability of the second class alone as the answer, values, or labels. `missing` says whether
    NaN was part of the comparison, `known` which texts were: other rows are for the original.
    """

    order: tuple[str, ...]
    task: str
    output: str
    classes: tuple[bool | int | float | str, ...] = ()
    missing: bool = False
    known: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What was compared with what, on which rows, by which versions, and what came of it.

    `rows_given` are rows of the sample, `rows` with those made by recombining its columns. From `large_from_rows` rows a batch on
    (0: never) the model is asked in a form for large batches, which was compared on the same rows.
    """

    model_digest: str
    verdict: Parity
    reason: str
    tolerance_ppm: int
    versions: Mapping[str, str]
    rows_given: int = 0
    rows: int = 0
    sample_digest: str = ""
    precision: str = ""
    onnx_digest: str = ""
    maximum_absolute: float | None = None
    maximum_relative: float | None = None
    label_agreement: float | None = None
    plan: Plan | None = None
    large_from_rows: int = 0
    large_digest: str = ""

    def content(self) -> dict[str, JsonValue]:
        """Return the certificate as JSON."""
        content: dict[str, JsonValue] = msgspec.to_builtins(asdict(self))
        return content


def read_certificate(content: bytes) -> Certificate:
    """Read a certificate that was written as JSON.

    Raises:
        Corrupted: it is none.
    """
    try:
        return msgspec.json.decode(content, type=Certificate)
    except msgspec.DecodeError as error:
        raise Corrupted(f"a certificate cannot be read: {error}") from error


def certificate_of(content: JsonValue) -> Certificate:
    """Read a certificate that somebody sends.

    Raises:
        InvalidInput: it is none, or says something that none says.
    """
    try:
        found = msgspec.convert(content, Certificate)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"this is no parity certificate: {error}", field="certificate") from error
    strange = sorted(set(content) - found.content().keys()) if isinstance(content, dict) else []
    if strange:
        raise InvalidInput(f"a parity certificate has no '{strange[0]}'", field=strange[0])
    return found


def compare(original: Prediction, converted: Prediction) -> Difference:
    """Compare what two models say of the same rows: the probabilities where both give them, else the values themselves."""
    agreement = _agreement(original, converted)
    pair = _values(original, converted)
    if pair is None:
        return Difference(absolute=0.0, relative=0.0, label_agreement=agreement)
    first, second = pair
    if first.shape != second.shape:
        return Difference(absolute=np.inf, relative=np.inf, label_agreement=agreement)
    apart = np.where(np.isnan(first) & np.isnan(second), 0.0, np.abs(first - second))
    apart = np.where(np.isnan(apart), np.inf, apart)
    relative = apart / np.maximum(1.0, np.nan_to_num(np.abs(first), nan=1.0))
    return Difference(absolute=float(apart.max()), relative=float(relative.max()), label_agreement=agreement)


def worse(first: Difference, second: Difference) -> Difference:
    """Return the greater difference of two sets of rows."""
    return Difference(
        absolute=max(first.absolute, second.absolute),
        relative=max(first.relative, second.relative),
        label_agreement=min(first.label_agreement, second.label_agreement),
    )


def judge(difference: Difference, tolerance: Tolerance) -> Parity:
    """Judge a difference."""
    close = difference.relative <= tolerance.difference_ppm / PARTS_PER_MILLION
    return Parity.WITHIN if close and difference.label_agreement == 1.0 else Parity.BEYOND


def sample_digest(columns: Columns) -> str:
    """Return the SHA-256 of rows: names, types and values."""
    digest = hashlib.sha256()
    for name, values in columns.items():
        digest.update(msgspec.json.encode([name, str(values.dtype), list(values.shape)]))
        plain = values.dtype.kind != _TEXT
        digest.update(np.ascontiguousarray(values).tobytes() if plain else msgspec.json.encode(values.tolist()))
    return digest.hexdigest()


def _values(original: Prediction, converted: Prediction) -> tuple[Array, Array] | None:
    if original.probabilities is not None and converted.probabilities is not None:
        return original.probabilities, converted.probabilities
    if original.labels.dtype.kind == "f" and converted.labels.dtype.kind == "f":
        return original.labels, converted.labels
    return None


def _agreement(original: Prediction, converted: Prediction) -> float:
    """Return the share of rows with the same label; numbers are compared as values and always agree here."""
    if original.labels.dtype.kind != converted.labels.dtype.kind or original.labels.shape != converted.labels.shape:
        return 0.0
    if original.labels.dtype.kind == "f" and original.probabilities is None:
        return 1.0
    return float(np.mean(original.labels == converted.labels))
