"""Pages of logged models: a token goes on with the question that it was given for, and with no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flyball.kernel.canonical import JsonValue, digest_json
from flyball.kernel.errors import InvalidInput
from flyball.tracking.search import Ordering, parse_place, place_token
from flyball.tracking.search.pages import MAX_OFFSET, invalid_token

_KEY = "models"
_PRINT_LENGTH = 12
"""Hexadecimal digits that tell two questions of one client apart; nobody gains by making two alike."""
_PARTS = (
    "Experiment IDs in the page token do not match the requested ones",
    "Filter string in the page token does not match the requested one",
    "Order by in the page token does not match the requested one",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a search asks for, as far as its pages hang together by it."""

    experiments: Sequence[str]
    filter_text: str
    order: Sequence[Ordering]

    def token(self, offset: int) -> str:
        """Make the token for the models from `offset` on."""
        return place_token({_KEY: [offset, *self._prints()]})

    def offset(self, token: str | None) -> int:
        """Return where a token goes on; none means the beginning.

        Raises:
            InvalidInput: it is no token that we gave, or was given for another question.
        """
        place = parse_place(token)
        if not place:
            return 0
        match place.get(_KEY):
            case [int(offset), *prints] if 0 <= offset <= MAX_OFFSET and len(prints) == len(_PARTS):
                for kept, mine, fault in zip(prints, self._prints(), _PARTS, strict=True):
                    if kept != mine:
                        raise InvalidInput(f"{fault}; begin without a page token", field="page_token")
                return offset
            case _:
                raise invalid_token()

    def _prints(self) -> list[JsonValue]:
        order: list[JsonValue] = [
            [item.field, item.key, item.ascending, *(item.dataset or (None, None))] for item in self.order
        ]
        parts: tuple[JsonValue, ...] = (sorted(self.experiments), self.filter_text.strip(), order)
        return [digest_json(part).removeprefix("sha256:")[:_PRINT_LENGTH] for part in parts]
