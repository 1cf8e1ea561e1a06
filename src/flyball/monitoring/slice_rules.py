"""The part of the monitor file about slices: predicates with a name, and whether the worst slice is searched."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pyarrow as pa

from flyball.kernel.errors import InvalidInput
from flyball.monitoring.monitor_file import MONITOR_FILE, require
from flyball.monitoring.slice_predicates import check_predicate, columns_of

MOST_NAMED = 50


class SliceRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which parts of the traffic are judged for themselves.

    `named` are SQL predicates over the features, by name. `search` looks for the worst slice of one or two features in every
    mature window, but not over those in `ignore`. `min_rows` labelled rows make a slice; a found one is reported at
    `significance`, after correction.
    """

    named: dict[str, str] = {}
    search: bool = True
    ignore: tuple[str, ...] = ()
    min_rows: int = 50
    significance: float = 0.01


def check_slice_rules(rules: SliceRules) -> None:
    """Check what can be checked without traffic: that every predicate is one.

    Raises:
        InvalidInput: a value out of its range, or a text that is no predicate; `field` names it.
    """
    if len(rules.named) > MOST_NAMED:
        raise InvalidInput(f"{MONITOR_FILE}: no more than {MOST_NAMED} slices are judged", field="slices.named")
    require(rules.min_rows >= 1, "slices.min_rows", "must be at least 1")
    require(0 < rules.significance < 1, "slices.significance", "must lie between 0 and 1")
    for name, where in rules.named.items():
        columns_of(where, field=f"slices.named.{name}")


def check_slices_against(rules: SliceRules, features: Mapping[str, pa.DataType]) -> None:
    """Check that every predicate can be evaluated over the features that an endpoint serves.

    Raises:
        UnknownKey: a predicate names a feature that is not served, with near misses.
        InvalidInput: its types do not fit.
    """
    for name, where in rules.named.items():
        check_predicate(where, features, field=f"slices.named.{name}")
