"""Read a filter: comparisons joined by AND, and nothing else."""

from __future__ import annotations

from flyball.kernel.errors import InvalidInput
from flyball.tracking.search.clauses import (
    LIST_OPERATORS,
    PRESENCE_OPERATORS,
    Clause,
    Field,
    Operator,
    Value,
    Vocabulary,
)
from flyball.tracking.search.tokens import Kind, Token, tokenize, unquote

# The databases refuse expressions that nest deeper than about a thousand.
MAX_CLAUSES = 200
MAX_PATTERN_LENGTH = 8_000
_INT64_LIMIT = 2**63


def parse_filter(text: str | None, vocabulary: Vocabulary) -> tuple[Clause, ...]:
    """Read a filter; an empty one has no clauses.

    Raises:
        InvalidInput: it is no conjunction, or a comparison makes no sense for this kind of thing.
    """
    if not text or not text.strip():
        return ()
    reader = _Reader(tokenize(text, vocabulary), vocabulary)
    clauses = [reader.comparison()]
    while not reader.done:
        reader.expect_and()
        clauses.append(reader.comparison())
    if len(clauses) > MAX_CLAUSES:
        raise InvalidInput(f"the filter has {len(clauses)} clauses; at most {MAX_CLAUSES} are allowed", field="filter")
    return tuple(clauses)


def split_identifier(text: str) -> tuple[str, str]:
    """Return prefix and key; a bare name is an attribute.

    >>> split_identifier('params."a b"'), split_identifier("start_time")
    (('params', 'a b'), ('attribute', 'start_time'))
    """
    if text[:1] in {"'", '"', "`"} or "." not in text:
        return Field.ATTRIBUTE.value, unquote(text)
    prefix, _, key = text.partition(".")
    return prefix, unquote(key)


class _Reader:
    """Walks over the tokens once."""

    def __init__(self, tokens: list[Token], vocabulary: Vocabulary) -> None:
        self._tokens = tokens
        self._vocabulary = vocabulary
        self._said = vocabulary.wording.clause
        self._at = 0

    @property
    def done(self) -> bool:
        return self._at >= len(self._tokens)

    def expect_and(self) -> None:
        token = self._next()
        if token.keyword != "AND":
            raise InvalidInput(
                f"{self._said}: '{token.text}'; comparisons can be joined by AND only",
                field="filter",
            )

    def comparison(self) -> Clause:
        name = self._next()
        if name.kind is not Kind.WORD and not (name.kind is Kind.QUOTED and name.text[0] != "'"):
            raise InvalidInput(
                f"{self._said}: '{name.text}'; expected a comparison such as metrics.acc > 0.9",
                field="filter",
            )
        if self.done:
            raise self._ends_early()
        self._refuse_truth(name)
        field, key = self._vocabulary.resolve(*split_identifier(name.text))
        operator = self._operator(name.text)
        allowed = self._vocabulary.operators(field, key)
        if operator not in allowed:
            raise self._not_allowed(operator, field, key)
        return Clause(field=field, key=key, operator=operator, value=self._value(field, key, operator))

    def _refuse_truth(self, name: Token) -> None:
        """Say first that nothing is compared with a truth value, as MLflow does, which cannot read such a clause at all."""
        if any(token.keyword in {"TRUE", "FALSE"} for token in self._tokens[self._at + 1 : self._at + 2]):
            raise InvalidInput(
                f"{self._said}: '{name.text}' is compared with a truth value; put it in quotes", field="filter"
            )

    def _operator(self, name: str) -> Operator:
        token = self._next()
        if token.kind is Kind.OPERATOR:
            return Operator.NE if token.text == "<>" else Operator(token.text)
        if token.keyword in {Operator.LIKE, Operator.ILIKE, Operator.IN}:
            return Operator(token.keyword)
        if token.keyword == "NOT" and self._next().keyword == "IN":
            return Operator.NOT_IN
        if token.keyword == "IS":
            return self._presence()
        raise InvalidInput(f"{self._said}: no operator after {name}", field="filter")

    def _presence(self) -> Operator:
        word = self._next().keyword
        if word == "NOT" and self._next().keyword == "NULL":
            return Operator.IS_NOT_NULL
        if word == "NULL":
            return Operator.IS_NULL
        raise InvalidInput(f"{self._said}: IS must be followed by NULL or NOT NULL", field="filter")

    def _value(self, field: Field, key: str, operator: Operator) -> Value:
        if operator in {Operator.IS_NULL, Operator.IS_NOT_NULL}:
            return None
        if operator in {Operator.IN, Operator.NOT_IN}:
            return self._list()
        token = self._next()
        if self._vocabulary.is_number(field, key):
            return _number(token, "metric" if field is Field.METRIC else f"numeric attribute: {key}")
        return _text(token, field)

    def _not_allowed(self, operator: Operator, field: Field, key: str) -> InvalidInput:
        """Say what may be compared how, in the words of MLflow where it has its own for a case."""
        if operator in PRESENCE_OPERATORS:
            return InvalidInput(
                f"IS NULL / IS NOT NULL is only supported for tags and params, not for '{field}' '{key}'",
                field="filter",
            )
        known = ", ".join(self._vocabulary.operators(field, key))
        if operator in LIST_OPERATORS and field is Field.ATTRIBUTE:
            lists = sorted(self._vocabulary.lists)
            return InvalidInput(
                f"Only {lists} attributes support comparison with a list of quoted string values. "
                f"'{key}' is compared by {known}",
                field="filter",
            )
        said = self._vocabulary.wording.comparator
        return InvalidInput(f"{said} '{operator}' not one of '{known}' for {field} '{key}'", field="filter")

    def _list(self) -> tuple[str, ...]:
        opening = self._next()
        if opening.text != "(":
            raise InvalidInput(
                f"{self._said}: '{opening.text}'; IN needs a list in parentheses: ('a', 'b')",
                field="filter",
            )
        values = [self._item()]
        while (mark := self._next()).text == ",":
            if self._ahead(")"):  # a Python tuple of one, as scripts write it into a filter
                mark = self._next()
                break
            values.append(self._item())
        if mark.text != ")":
            raise _bad_list(f"ill-formed list at '{mark.text}'")
        return tuple(values)

    def _ahead(self, text: str) -> bool:
        return not self.done and self._tokens[self._at].text == text

    def _item(self) -> str:
        token = self._next()
        if token.text == ")":
            raise _bad_list("empty list")
        if token.kind is Kind.MARK:
            raise _bad_list(f"ill-formed list at '{token.text}'")
        if token.kind is not Kind.QUOTED:
            raise InvalidInput(
                "While parsing a list in the query, expected string value, punctuation, or whitespace, but got different "
                f"type in list: {token.text}",
                field="filter",
            )
        return unquote(token.text)

    def _next(self) -> Token:
        if self.done:
            raise self._ends_early()
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _ends_early(self) -> InvalidInput:
        return InvalidInput(f"{self._said}: it ends in the middle of a comparison", field="filter")


def _bad_list(found: str) -> InvalidInput:
    return InvalidInput(
        f"While parsing a list in the query, expected a non-empty list of string values, but got {found}",
        field="filter",
    )


def _number(token: Token, what: str) -> float | int:
    if token.kind is not Kind.NUMBER:
        raise InvalidInput(f"Expected numeric value type for {what}. Found {token.text}", field="filter")
    try:
        whole = int(token.text)
    except ValueError:
        return float(token.text)
    return whole if abs(whole) < _INT64_LIMIT else float(token.text)


def _text(token: Token, name: str) -> str:
    if token.kind is Kind.WORD:
        raise InvalidInput(
            "Parameter value is either not quoted or unidentified quote types used for string value "
            f"{token.text}. Use either single or double quotes",
            field="filter",
        )
    if token.kind is not Kind.QUOTED or token.text[0] == "`":
        raise InvalidInput(
            f"Expected a quoted string value for {name} (e.g. 'my-value'). Got value {token.text}", field="filter"
        )
    value = unquote(token.text)
    if len(value) > MAX_PATTERN_LENGTH:
        raise InvalidInput(f"the value for {name} is longer than {MAX_PATTERN_LENGTH} characters", field="filter")
    return value
