"""What a parsed search consists of, and the words that a kind of thing may be searched by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from flyball.kernel.errors import InvalidInput

MAX_KEY_LENGTH = 250


class Field(StrEnum):
    """Where a key is looked up."""

    METRIC = "metric"
    PARAM = "parameter"
    TAG = "tag"
    ATTRIBUTE = "attribute"
    DATASET = "dataset"


class Operator(StrEnum):
    """How a key is compared."""

    EQ = "="
    NE = "!="
    GT = ">"
    GE = ">="
    LT = "<"
    LE = "<="
    LIKE = "LIKE"
    ILIKE = "ILIKE"
    IN = "IN"
    NOT_IN = "NOT IN"
    IS_NULL = "IS NULL"
    IS_NOT_NULL = "IS NOT NULL"


NUMBER_OPERATORS = (Operator.EQ, Operator.NE, Operator.GT, Operator.GE, Operator.LT, Operator.LE)
TEXT_OPERATORS = (Operator.EQ, Operator.NE, Operator.LIKE, Operator.ILIKE)
PRESENCE_OPERATORS = (Operator.IS_NULL, Operator.IS_NOT_NULL)
LIST_OPERATORS = (Operator.IN, Operator.NOT_IN)
DATASET_KEYS = ("name", "digest", "context")

PREFIXES: Mapping[str, Field] = {
    "metric": Field.METRIC,
    "metrics": Field.METRIC,
    "param": Field.PARAM,
    "params": Field.PARAM,
    "parameter": Field.PARAM,
    "parameters": Field.PARAM,
    "tag": Field.TAG,
    "tags": Field.TAG,
    "attr": Field.ATTRIBUTE,
    "attribute": Field.ATTRIBUTE,
    "attributes": Field.ATTRIBUTE,
    "run": Field.ATTRIBUTE,
    "dataset": Field.DATASET,
    "datasets": Field.DATASET,
}

Value = str | int | float | tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One comparison. `value` is a number for metrics and times, a tuple for IN, None for IS NULL, else text."""

    field: Field
    key: str
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordering:
    """One key to sort by."""

    field: Field
    key: str
    ascending: bool = True
    dataset: tuple[str | None, str | None] | None = None
    """Name and digest, or one of them, of the dataset whose metrics count; for metrics of logged models only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """How an error begins: MLflow has words of its own for each kind of thing, and clients look for them."""

    clause: str = "Invalid clause(s) in filter string"
    key: str = "Invalid attribute key"
    comparator: str = "Invalid comparator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """What one kind of thing can be searched by."""

    noun: str
    fields: frozenset[Field]
    numbers: frozenset[str] = frozenset()
    """Attributes that are numbers."""
    texts: frozenset[str] = frozenset()
    """Attributes that are text."""
    lists: frozenset[str] = frozenset()
    """Attributes that IN may be used with."""
    keyed: tuple[Operator, ...] = TEXT_OPERATORS + PRESENCE_OPERATORS
    """How params and tags may be compared."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    wording: Wording = field(default_factory=Wording)

    def resolve(self, prefix: str, key: str) -> tuple[Field, str]:
        """Return where a key is looked up, and its true name.

        Raises:
            InvalidInput: nothing of the kind can be searched by it.
        """
        place = PREFIXES.get(prefix)
        if place is None or place not in self.fields:
            known = [item.value for item in Field if item in self.fields]
            raise InvalidInput(
                f"Invalid entity type '{prefix}'. Valid values are {known} in a search of {self.noun}", field="filter"
            )
        if not key or len(key) > MAX_KEY_LENGTH:
            raise InvalidInput(f"Invalid key after '{prefix}.' in a search of {self.noun}", field="filter")
        if place is Field.ATTRIBUTE:
            return place, self._attribute(key)
        if place is Field.DATASET and key not in DATASET_KEYS:
            known_keys = ", ".join(DATASET_KEYS)
            raise InvalidInput(f"Invalid dataset key '{key}' specified. Valid keys are '{known_keys}'", field="filter")
        return place, key

    def operators(self, place: Field, key: str) -> tuple[Operator, ...]:
        """Return the operators that a key may be compared with."""
        match place:
            case Field.METRIC:
                return NUMBER_OPERATORS
            case Field.PARAM | Field.TAG:
                return self.keyed
            case Field.DATASET:
                return TEXT_OPERATORS + LIST_OPERATORS
            case Field.ATTRIBUTE if key in self.numbers:
                return NUMBER_OPERATORS
            case Field.ATTRIBUTE:
                return TEXT_OPERATORS + LIST_OPERATORS if key in self.lists else TEXT_OPERATORS

    def is_number(self, place: Field, key: str) -> bool:
        """Tell whether a key is compared with numbers."""
        return place is Field.METRIC or (place is Field.ATTRIBUTE and key in self.numbers)

    def _attribute(self, key: str) -> str:
        name = self.aliases.get(key, key)
        if name not in self.numbers | self.texts:
            known = ", ".join(sorted(self.numbers | self.texts))
            raise InvalidInput(f"{self.wording.key} '{key}' specified. Valid keys are '{known}'", field="filter")
        return name
