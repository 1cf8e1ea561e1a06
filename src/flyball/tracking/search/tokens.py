"""Cut a filter into words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from flyball.kernel.errors import InvalidInput
from flyball.tracking.search.clauses import Vocabulary

# Long enough for a thousand ids in one IN; a longer filter is a mistake or an attack.
MAX_FILTER_LENGTH = 65_536

_QUOTED = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`"
_TOKEN = re.compile(
    rf"""\s*(?:
        (?P<quoted>{_QUOTED})
      | (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])
      | (?P<word>[^\W\d]\w*(?:\.(?:{_QUOTED}|[\w.]+))?)
      | (?P<operator>!=|<>|>=|<=|=|<|>)
      | (?P<mark>[(),])
    )""",
    re.VERBOSE,
)


class Kind(StrEnum):
    """What a token is."""

    QUOTED = "quoted"
    NUMBER = "number"
    WORD = "word"
    OPERATOR = "operator"
    MARK = "mark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A word of the filter, as it was written."""

    kind: Kind
    text: str

    @property
    def keyword(self) -> str:
        """The word in capitals if it can be a keyword, else nothing."""
        return self.text.upper() if self.kind is Kind.WORD else ""


def tokenize(text: str, vocabulary: Vocabulary) -> list[Token]:
    """Cut a filter into tokens.

    >>> [token.text for token in tokenize("metrics.`my acc` >= -1e3 and x IN ('a', 'b')", Vocabulary(noun="x", fields=frozenset()))]
    ['metrics.`my acc`', '>=', '-1e3', 'and', 'x', 'IN', '(', "'a'", ',', "'b'", ')']

    Raises:
        InvalidInput: a character that no token has, or an open quote.
    """
    if len(text) > MAX_FILTER_LENGTH:
        raise InvalidInput(f"the filter is longer than {MAX_FILTER_LENGTH} characters", field="filter")
    if "\x00" in text:
        raise InvalidInput("the filter has a NUL character", field="filter")
    text = text.strip()
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise InvalidInput(
                f"{vocabulary.wording.clause}: cannot read '{text[at : at + 40].strip()}'; put keys with other "
                "characters than letters, digits, '_' and '.' in backticks, and text in quotes",
                field="filter",
            )
        kind = Kind(str(found.lastgroup))
        tokens.append(Token(kind=kind, text=found[kind.value]))
        at = found.end()
    return tokens


def unquote(text: str) -> str:
    """Take the quotes off; a doubled quote inside stands for itself.

    >>> unquote("'it''s'")
    "it's"
    """
    quote = text[:1]
    if quote not in {"'", '"', "`"} or len(text) < len("''"):
        return text
    return text[1:-1].replace(quote * 2, quote)
