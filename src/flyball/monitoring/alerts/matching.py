"""Which alerts are meant: by monitor, endpoint, model, kind and feature; for silences and for routes."""

from __future__ import annotations

from fnmatch import fnmatchcase

import msgspec

from flyball.kernel.errors import InvalidInput
from flyball.monitoring.entities import Alert, AlertKind

MOST_CHARACTERS = 200
MOST_STARS = 5


class Matcher(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is given must fit; `*` stands for any characters. What is left out fits everything."""

    monitor: str = ""
    endpoint: str = ""
    model: str = ""
    kind: str = ""
    feature: str = ""

    @property
    def given(self) -> dict[str, str]:
        """The patterns that are given, by what they are held against."""
        return {name: pattern for name in self.__struct_fields__ if (pattern := getattr(self, name))}


def check_matcher(matcher: Matcher, *, field: str) -> None:
    """Accept a matcher.

    Raises:
        InvalidInput: a pattern that is too long or has too many stars, or a kind that no alert has.
    """
    for name, pattern in matcher.given.items():
        place = f"{field}.{name}" if field else name
        if len(pattern) > MOST_CHARACTERS or pattern.count("*") > MOST_STARS or "\x00" in pattern:
            raise InvalidInput(
                f"'{place}' is no pattern: at most {MOST_CHARACTERS} characters and {MOST_STARS} stars", field=place
            )
    if matcher.kind and not any(_fits(matcher.kind, kind) for kind in AlertKind):
        place = f"{field}.kind" if field else "kind"
        raise InvalidInput(f"'{matcher.kind}' fits no kind of alert; there are: {', '.join(AlertKind)}", field=place)


def concerns(matcher: Matcher, alert: Alert) -> bool:
    """Tell whether an alert is meant; a feature is when one of the causes names it."""
    features = [cause.feature for cause in alert.causes if cause.feature]
    return _frame_fits(matcher, alert) and (
        not matcher.feature or any(_fits(matcher.feature, name) for name in features)
    )


def covers(matcher: Matcher, alert: Alert) -> bool:
    """Tell whether all of an alert is meant: a feature is when every cause that names one names it.

    Who silences a feature has not said anything about the others.
    """
    features = [cause.feature for cause in alert.causes if cause.feature]
    return _frame_fits(matcher, alert) and (
        not matcher.feature or (bool(features) and all(_fits(matcher.feature, name) for name in features))
    )


def _frame_fits(matcher: Matcher, alert: Alert) -> bool:
    held = {"monitor": alert.monitor, "endpoint": alert.endpoint, "model": alert.model, "kind": str(alert.kind)}
    return all(_fits(pattern, held[name]) for name, pattern in matcher.given.items() if name in held)


def _fits(pattern: str, text: str) -> bool:
    # Only the star is special: a name may hold a bracket or a question mark.
    literal = pattern.replace("[", "[[]").replace("?", "[?]")
    return fnmatchcase(text, literal)
