"""Evidence: all that a decision looks at, as one value with one digest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

import msgspec

from flyball.kernel.canonical import Digest, JsonValue, canonical_json, digest_json
from flyball.kernel.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockScore:
    """How many rows of one block of time (a day, a window) each model predicted correctly."""

    block: str
    rows: int
    champion_hits: int
    challenger_hits: int

    def __post_init__(self) -> None:
        if not (0 <= self.champion_hits <= self.rows and 0 <= self.challenger_hits <= self.rows):
            raise InvalidInput(f"block '{self.block}' has more hits than rows, or negative ones", field="blocks")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedEvaluation:
    """Champion and challenger on the same rows of one frozen dataset version."""

    role: Literal["holdout", "recent"]
    dataset: str
    dataset_digest: str
    metric: Literal["accuracy"]
    blocks: tuple[BlockScore, ...]

    @property
    def rows(self) -> int:
        """All rows of all blocks."""
        return sum(block.rows for block in self.blocks)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowFact:
    """What is known about one stretch of the training data."""

    window: str
    verdict: Literal["clean", "corrupted", "unknown"]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything the gates may look at. What is not in here did not take part in the decision.

    `champion_version` is None when the model has no champion yet; `requirements` are the lines of the model's environment.
    """

    model: str
    version: int
    version_digest: str
    has_signature: bool
    signature_inputs: int
    requirements: tuple[str, ...]
    champion_version: int | None
    evaluations: tuple[PairedEvaluation, ...]
    training_windows: tuple[WindowFact, ...]

    def __post_init__(self) -> None:
        roles = [evaluation.role for evaluation in self.evaluations]
        for role in roles:
            if roles.count(role) > 1:
                raise InvalidInput(f"two evaluations claim the role '{role}'", field="evaluations")

    def evaluation(self, role: str) -> PairedEvaluation | None:
        """Return the evaluation of a role, None when there is none."""
        return next((each for each in self.evaluations if each.role == role), None)

    def to_json(self) -> dict[str, JsonValue]:
        """Return the evidence as JSON."""
        return cast("dict[str, JsonValue]", msgspec.json.decode(msgspec.json.encode(self)))

    @classmethod
    def from_json(cls, value: JsonValue) -> Evidence:
        """Read evidence back.

        Raises:
            InvalidInput: a missing field, a wrong type, or a field that evidence does not have.
        """
        try:
            evidence = msgspec.convert(value, type=cls)
        except msgspec.ValidationError as error:
            raise InvalidInput(f"this is no evidence: {error}", field="evidence") from error
        if canonical_json(evidence.to_json()) != canonical_json(value):
            unread = _unread(value, evidence.to_json(), path="evidence")
            raise InvalidInput(f"evidence has no field '{unread}'", field=unread)
        return evidence

    def digest(self) -> Digest:
        """Return the digest of the canonical form."""
        return digest_json(self.to_json())


def _unread(given: JsonValue, read: JsonValue, *, path: str) -> str:
    """Return the path of the first field that was given and not read."""
    if isinstance(given, Mapping) and isinstance(read, Mapping):
        for key in given:
            if key not in read:
                return f"{path}.{key}"
            if given[key] != read[key]:
                return _unread(given[key], read[key], path=f"{path}.{key}")
    if isinstance(given, list) and isinstance(read, list):
        for index, (left, right) in enumerate(zip(given, read, strict=True)):
            if left != right:
                return _unread(left, right, path=f"{path}[{index}]")
    return path
