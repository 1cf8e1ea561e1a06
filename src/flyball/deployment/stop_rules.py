"""Stop rules: read them strictly, and judge a rollout by them."""

from __future__ import annotations

from flyball.deployment.entities import Outcomes, StopRule, Verdict, VerdictKind
from flyball.kernel.errors import InvalidInput, Unsupported
from flyball.measures.sequential import Difference, Tally, compare_means

METRICS = ("accuracy",)
# An alpha above one half would stop a coin's fair half more often than not; nobody means that.
LARGEST_ALPHA = 0.5


def check_stop_rule(rule: StopRule | None) -> StopRule:
    """Return a rule that can be followed.

    Raises:
        InvalidInput: there is none, or a number is out of its range; `field` names it.
        Unsupported: a metric that cannot be followed during a rollout.
    """
    if rule is None:
        raise InvalidInput(
            "a rollout needs a stop rule: give metric, alpha, margin, min_rows and max_rows", field="stop_rule"
        )
    if rule.metric not in METRICS:
        raise Unsupported(
            f"a rollout cannot be judged by '{rule.metric}'; known: {', '.join(METRICS)}", field="stop_rule.metric"
        )
    _within(0 < rule.alpha <= LARGEST_ALPHA, "alpha", rule.alpha, f"above 0 and at most {LARGEST_ALPHA}")
    _within(0 <= rule.margin < 1, "margin", rule.margin, "from 0 to below 1")
    _within(rule.min_rows >= 1, "min_rows", rule.min_rows, "at least 1")
    _within(rule.max_rows >= rule.min_rows, "max_rows", rule.max_rows, f"at least min_rows ({rule.min_rows})")
    return rule


def _within(right: bool, name: str, value: float, wanted: str) -> None:  # noqa: FBT001 -- a guard, read as a sentence
    if not right:
        raise InvalidInput(f"the stop rule's {name} is {value}; it must be {wanted}", field=f"stop_rule.{name}")


def judge(rule: StopRule, *, champion: Outcomes, challenger: Outcomes) -> Verdict:
    """Say whether a rollout goes on, stops, or may be promoted.

    Raises:
        InvalidInput: more hits than rows.
    """
    difference = compare_means(_tally(challenger), _tally(champion), alpha=rule.alpha)
    kind, reason = _decide(rule, rows=challenger.rows, difference=difference)
    return Verdict(kind=kind, reason=reason, difference=difference)


def _decide(rule: StopRule, *, rows: int, difference: Difference) -> tuple[VerdictKind, str]:
    found = (
        f"{rule.metric} of challenger minus champion {difference.estimate:+.4f} "
        f"[{difference.lower:+.4f}, {difference.upper:+.4f}] at alpha {rule.alpha}"
    )
    if difference.upper < -rule.margin:
        return VerdictKind.STOP, f"worse than the champion by more than {rule.margin}: {found}"
    if rows < rule.min_rows:
        return VerdictKind.CONTINUE, f"not enough data, {rows} of {rule.min_rows} labelled rows: {found}"
    if difference.lower > -rule.margin:
        return VerdictKind.PROMOTE, f"not worse than the champion by more than {rule.margin}: {found}"
    if rows >= rule.max_rows:
        return VerdictKind.PROMOTE, f"{rows} labelled rows and no evidence of harm: {found}"
    return VerdictKind.CONTINUE, f"undecided after {rows} labelled rows: {found}"


def _tally(outcomes: Outcomes) -> Tally:
    return Tally(total=outcomes.hits, count=outcomes.rows)
