"""When columns count as changed together, and when a text or an embedding does."""

from __future__ import annotations

import msgspec

from flyball.monitoring.monitor_file import require

FIELD = "multivariate"
# Fewer rows say little of how columns move together; more cost memory and say no more.
LEAST_ROWS, MOST_ROWS = 100, 20_000


class MultivariateRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is held against the sample of rows that travels with a version, and from where on it counts as drift.

    `area`: a classifier surely tells reference and window apart, by an area under its ROC curve above this (0.5 is not at all).
    `reconstruction`: the error of the reference's principal components changed by this many of its standard deviations.
    `discrepancy`: the maximum mean discrepancy of texts and embeddings. `rows` are drawn of each side at most. `ignore` names
    features that are left out, such as a date.
    """

    area: float = 0.55
    reconstruction: float = 0.5
    discrepancy: float = 0.1
    significance: float = 0.01
    rows: int = 2_000
    ignore: tuple[str, ...] = ()


def check_multivariate(rules: MultivariateRules) -> None:
    """Check the values.

    Raises:
        InvalidInput: one is out of its range; `field` names it.
    """
    require(0.5 <= rules.area < 1, f"{FIELD}.area", "must be at least 0.5 and below 1")  # noqa: PLR2004 -- 0.5 is chance
    require(rules.reconstruction > 0, f"{FIELD}.reconstruction", "must be above 0")
    require(0 < rules.discrepancy < 1, f"{FIELD}.discrepancy", "must lie between 0 and 1")
    require(0 < rules.significance < 0.5, f"{FIELD}.significance", "must lie between 0 and 0.5")  # noqa: PLR2004
    require(LEAST_ROWS <= rules.rows <= MOST_ROWS, f"{FIELD}.rows", f"must lie between {LEAST_ROWS} and {MOST_ROWS}")
