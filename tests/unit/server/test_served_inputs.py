"""Slices and groups of a monitor are held against the signature of the version that will answer, before any traffic."""

from __future__ import annotations

import pytest
from tests.unit.monitoring.conftest import predictions

from flyball.kernel.errors import InvalidInput, UnknownKey
from flyball.monitoring.monitor import Monitor
from flyball.server.platform import Platform
from flyball.serving.capture_rules import CaptureRules, Treatment

ACTOR = "user:owner"
COLUMNS = {"age": "long", "income": "double", "city": "string", "member": "boolean", "since": "datetime"}


def _register(platform: Platform, number: int, columns: dict[str, str]) -> None:
    model_id = f"m-{number:032x}"
    inputs = ", ".join(f'{{"name": "{name}", "type": "{kind}"}}' for name, kind in columns.items())
    signature = f"signature:\n  inputs: '[{inputs}]'\n" if columns else "flavors: {}\n"
    platform.artifacts.put(f"model/{model_id}", "MLmodel", [signature.encode()])
    source = f"mlflow-artifacts:/1/models/{model_id}/artifacts"
    platform.registry.create_version("loans", source=source, model_id=model_id, actor=ACTOR)


@pytest.fixture
def loans(platform: Platform) -> Platform:
    platform.registry.create_model("loans", actor=ACTOR)
    _register(platform, 1, COLUMNS)
    return platform


def _set(platform: Platform, *, slices: dict[str, str] | None = None, column: str = "") -> Monitor:
    groups = [{"column": column, "adverse": 1, "rates": ["accuracy"], "tolerance": 0.1}] if column else []
    document = {"monitor": "loans", "endpoint": "live", "model": "loans", "window": "7d", "label_maturity": "1d"}
    return platform.monitors.put({**document, "slices": {"named": slices or {}}, "groups": groups}, actor=ACTOR)


def test_features_that_the_version_takes_may_be_named_before_there_is_an_endpoint(loans: Platform) -> None:
    slices = {"young": "age < 30 AND city = 'north'", "rich": "member AND income > 1e5", "old": "since < '2020'"}
    assert _set(loans, slices=slices, column="city").slices.named == slices


def test_a_feature_that_it_does_not_take_is_an_error_that_says_which_it_takes(loans: Platform) -> None:
    with pytest.raises(UnknownKey, match=r"'aeg' in the features of 'aeg < 30'; did you mean age"):
        _set(loans, slices={"young": "aeg < 30"})
    with pytest.raises(UnknownKey, match=r"'race' .*known: age, city, income, member, since"):
        _set(loans, column="race")
    with pytest.raises(InvalidInput) as raised:
        _set(loans, slices={"odd": "year(city) > 3"})
    assert raised.value.field == "slices.named.odd"
    assert loans.monitors.list() == []


def test_the_champion_counts_and_not_the_newest_version(loans: Platform) -> None:
    loans.deployments.create("live", "loans", 1, actor=ACTOR)
    _register(loans, 2, {"score": "double"})
    assert _set(loans, column="age").groups[0].column == "age"
    with pytest.raises(UnknownKey):
        _set(loans, column="score")


def test_what_capture_hides_cannot_be_sliced_by(loans: Platform) -> None:
    loans.deployments.create("live", "loans", 1, actor=ACTOR)
    loans.set_capture("live", CaptureRules(columns={"feature.city": Treatment.HASH}), actor=ACTOR)
    with pytest.raises(UnknownKey, match="known: age, income"):
        _set(loans, column="city")


def test_where_no_signature_says_nothing_is_checked_until_traffic_shows_it(platform: Platform) -> None:
    assert _set(platform, column="anything").groups[0].column == "anything"
    platform.registry.create_model("loans", actor=ACTOR)
    _register(platform, 1, {})
    assert _set(platform, column="whatever").groups[0].column == "whatever"
    platform.predictions.accept("live", predictions(["a"], [0], [1], features={"x": [1.0]}))
    with pytest.raises(UnknownKey, match=r"known: x|did you mean x"):
        _set(platform, column="again")
