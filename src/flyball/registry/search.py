"""What models and versions can be searched by, in the language that runs are searched in; prompts only when asked for.

name LIKE 'elec%' AND tags.team = 'grid'
run_id IN ('a', 'b') AND version_number >= 3
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flyball.registry.naming import PROMPT_TAG
from flyball.tracking.search import (
    Clause,
    Field,
    Operator,
    Ordering,
    Vocabulary,
    Wording,
    check_max_results,
    parse_filter,
    parse_order,
    parse_page_token,
)

_TIMES = frozenset({"creation_timestamp", "last_updated_timestamp"})
_FIELDS = frozenset({Field.ATTRIBUTE, Field.TAG})
# The name that old clients give to the time of the last change.
_ALIASES = {"timestamp": "last_updated_timestamp"}

# The protocol filters by fewer attributes than it orders by.
MODELS = Vocabulary(noun="registered models", fields=_FIELDS, texts=frozenset({"name"}), lists=frozenset({"name"}))
VERSIONS = Vocabulary(
    noun="model versions",
    fields=_FIELDS,
    numbers=frozenset({"version_number"}),
    texts=frozenset({"name", "run_id", "source_path"}),
    lists=frozenset({"name", "run_id"}),
)
_MODEL_ORDER = Vocabulary(
    noun="registered models",
    fields=frozenset({Field.ATTRIBUTE}),
    numbers=frozenset({"last_updated_timestamp"}),
    texts=frozenset({"name"}),
    aliases=_ALIASES,
    wording=Wording(key="Invalid order by key"),
)
_VERSION_ORDER = Vocabulary(
    noun="model versions",
    fields=frozenset({Field.ATTRIBUTE}),
    numbers=_TIMES | {"version_number"},
    texts=frozenset({"name"}),
    aliases=_ALIASES,
)

MODELS_PER_PAGE = 100
MOST_MODELS_PER_PAGE = 1_000
VERSIONS_PER_PAGE = 10_000
MOST_VERSIONS_PER_PAGE = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A parsed question. `order` always ends in a unique order; `prompts` None means prompts and models alike."""

    clauses: tuple[Clause, ...]
    order: tuple[Ordering, ...]
    limit: int
    offset: int = 0
    prompts: bool | None = False


def search_models(filter_text: str, *, order_by: Sequence[str], limit: int | None, page_token: str) -> Search:
    """Read a question about registered models, answered by name unless an order is given.

    Raises:
        InvalidInput: a filter, an order, a limit or a page token that cannot be read.
    """
    clauses, prompts = _without_prompts(parse_filter(filter_text, MODELS))
    return Search(
        clauses=clauses,
        order=_unique(parse_order(order_by, _MODEL_ORDER), (_ordering("name"),)),
        limit=check_max_results(MODELS_PER_PAGE if limit is None else limit, limit=MOST_MODELS_PER_PAGE),
        offset=parse_page_token(page_token),
        prompts=prompts,
    )


def search_versions(filter_text: str, *, order_by: Sequence[str], limit: int | None, page_token: str) -> Search:
    """Read a question about versions, answered with the newest change first unless an order is given.

    Raises:
        InvalidInput: a filter, an order, a limit or a page token that cannot be read.
    """
    clauses, prompts = _without_prompts(parse_filter(filter_text, VERSIONS))
    last: tuple[Ordering, ...] = (_ordering("name"), _ordering("version_number", ascending=False))
    if not order_by:
        last = (_ordering("last_updated_timestamp", ascending=False), *last)
    return Search(
        clauses=clauses,
        order=_unique(parse_order(order_by, _VERSION_ORDER), last),
        limit=check_max_results(VERSIONS_PER_PAGE if limit is None else limit, limit=MOST_VERSIONS_PER_PAGE),
        offset=parse_page_token(page_token),
        prompts=prompts,
    )


def versions_of(name: str) -> Search:
    """Ask for every version of one model, oldest first."""
    of_name = Clause(field=Field.ATTRIBUTE, key="name", operator=Operator.EQ, value=name)
    return Search(clauses=(of_name,), order=(_ordering("version_number"),), limit=2**31, prompts=None)


def _ordering(key: str, *, ascending: bool = True) -> Ordering:
    return Ordering(field=Field.ATTRIBUTE, key=key, ascending=ascending)


def _unique(given: tuple[Ordering, ...], last: tuple[Ordering, ...]) -> tuple[Ordering, ...]:
    keys = {item.key for item in given}
    return (*given, *(item for item in last if item.key not in keys))


def _without_prompts(clauses: tuple[Clause, ...]) -> tuple[tuple[Clause, ...], bool]:
    """Take out the clauses about the prompt tag, and say whether they ask for prompts."""
    about = [clause for clause in clauses if clause.field is Field.TAG and clause.key == PROMPT_TAG]
    asks = any(
        (clause.operator, str(clause.value).lower()) in {(Operator.EQ, "true"), (Operator.NE, "false")}
        for clause in about
    )
    return tuple(clause for clause in clauses if clause not in about), asks
