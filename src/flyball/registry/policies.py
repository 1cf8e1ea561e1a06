"""Read a policy file: a name and a list of rules, checked to the last key before it is published.

policy: elec2-promotion
rules:
  - rule: signature_present
  - rule: beats_champion
    on: recent
    confidence: 0.95
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from flyball.kernel.canonical import JsonValue, canonical_json
from flyball.kernel.documents import read_yaml
from flyball.kernel.errors import FlyballError, InvalidInput, LimitExceeded, UnknownKey
from flyball.registry.entities import Rule
from flyball.registry.gates.catalogue import Catalogue
from flyball.registry.ports import Gate

WHAT = "the policy"
MAX_CHARACTERS = 65_536
_KEYS = ("policy", "rules")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyText:
    """What a policy file says, with every default written out."""

    name: str
    rules: tuple[Rule, ...]


def parse_policy(text: str, *, catalogue: Catalogue) -> PolicyText:
    """Read a policy file.

    Raises:
        UnknownKey: a key that neither policies nor the rule have, with near misses.
        InvalidInput: no YAML, a key given twice, a wrong type, an unknown rule, no rules, a rule given twice; `field` is
            the place, such as `rules[1].confidence`.
        LimitExceeded: it is longer than 65,536 characters.
    """
    if len(text) > MAX_CHARACTERS:
        raise LimitExceeded(f"{WHAT} has {len(text)} characters; at most {MAX_CHARACTERS} are read", field="policy")
    document = _mapping(read_yaml(text, what=WHAT), field=WHAT)
    for key in document:
        if key not in _KEYS:
            raise UnknownKey.among(key, _KEYS, where=WHAT)
    rules: list[Rule] = []
    for index, entry in enumerate(_entries(document.get("rules"))):
        rule = _parse_rule(entry, catalogue=catalogue, field=f"rules[{index}]")
        if rule in rules:
            raise InvalidInput(
                f"{WHAT}: rules[{index}] repeats rules[{rules.index(rule)}]; remove one", field=f"rules[{index}]"
            )
        rules.append(rule)
    return PolicyText(name=_name(document.get("policy")), rules=tuple(rules))


def load_rule(rule: Rule, *, catalogue: Catalogue) -> Gate:
    """Make the gate of a published rule.

    Raises:
        InvalidInput: the rule is no longer installed.
    """
    return _gate(rule.rule, catalogue=catalogue, field="rule").parse(rule.parameters)


def _parse_rule(entry: object, *, catalogue: Catalogue, field: str) -> Rule:
    values = _mapping(entry, field=field)
    name = values.pop("rule", None)
    if not isinstance(name, str):
        raise InvalidInput(f"{WHAT}: {field} needs 'rule', the name of a rule", field=f"{field}.rule")
    gate = _gate(name, catalogue=catalogue, field=f"{field}.rule")
    parameters = {key: _plain(value, field=f"{field}.{key}") for key, value in values.items()}
    try:
        parsed = gate.parse(parameters)
    except FlyballError as error:
        place = f"{field}.{error.field}" if error.field else field
        raise type(error)(f"{WHAT}: {field}: {error.message}", field=place) from error
    return Rule(rule=name, parameters=parsed.parameters())


def _gate(name: str, *, catalogue: Catalogue, field: str) -> type[Gate]:
    known = catalogue.names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise InvalidInput(
            f"{WHAT}: unknown rule '{name[:80]}'; {hint}known: {', '.join(known) or 'none'}", field=field
        )
    return catalogue.load(name)


def _mapping(value: object, *, field: str) -> dict[str, object]:
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{field} must be a mapping of keys to values, not {_kind(value)}", field=field)
    return dict(value)


def _entries(value: object) -> Sequence[object]:
    if not isinstance(value, list):
        raise InvalidInput(f"{WHAT}: 'rules' must be a list, not {_kind(value)}", field="rules")
    if not value:
        raise InvalidInput(f"{WHAT}: 'rules' is empty: a policy that asks for nothing allows everything", field="rules")
    return value


def _name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise InvalidInput(
            f"{WHAT}: 'policy' must be a name of 1 to 128 letters, digits, dots, hyphens and underscores",
            field="policy",
        )
    return value


def _plain(value: object, *, field: str) -> JsonValue:
    if not _is_json(value):
        raise InvalidInput(f"{WHAT}: {field} must be text, a number or a truth value, not {_kind(value)}", field=field)
    canonical_json(value)
    return value


def _is_json(value: object) -> TypeGuard[JsonValue]:
    return value is None or isinstance(value, str | int | float | bool)


def _kind(value: object) -> str:
    return "nothing" if value is None else type(value).__name__
