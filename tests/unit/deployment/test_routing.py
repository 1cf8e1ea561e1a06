"""Routing is pure, sticky, and true to its shares."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.deployment.entities import Role, Route
from flyball.deployment.routing import choose, position, shadows

CHAMPION = Route(version=1, share=1.0, role=Role.CHAMPION)


def split(share: float) -> tuple[Route, ...]:
    return (
        Route(version=1, share=1 - share, role=Role.CHAMPION),
        Route(version=2, share=share, role=Role.CANARY),
    )


@given(st.text(), st.text())
def test_a_key_has_one_place_between_zero_and_one(salt: str, key: str) -> None:
    assert 0 <= position(salt, key) < 1
    assert position(salt, key) == position(salt, key)


@given(st.text(), st.floats(0.01, 0.5), st.floats(0.5, 0.99))
def test_a_canary_that_grows_keeps_its_callers(key: str, small: float, large: float) -> None:
    if choose(split(small), "salt", key).role is Role.CANARY:
        assert choose(split(large), "salt", key).role is Role.CANARY


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5])
def test_the_canary_gets_its_share_of_many_keys(share: float) -> None:
    n = 20_000
    canaries = sum(choose(split(share), "salt", f"caller-{i}").role is Role.CANARY for i in range(n))
    # four standard deviations of a binomial count
    assert abs(canaries - n * share) < 4 * (n * share * (1 - share)) ** 0.5


def test_another_salt_draws_other_callers() -> None:
    keys = [str(i) for i in range(2_000)]
    one = {key for key in keys if choose(split(0.1), "one", key).role is Role.CANARY}
    two = {key for key in keys if choose(split(0.1), "two", key).role is Role.CANARY}
    assert len(one & two) < 50


def test_without_a_canary_the_champion_answers_everyone() -> None:
    assert {choose([CHAMPION], "salt", str(i)) for i in range(100)} == {CHAMPION}


def test_a_shadow_never_answers_and_watches_its_share() -> None:
    shadow = Route(version=3, share=0.5, role=Role.SHADOW)
    routes = [CHAMPION, shadow]
    keys = [str(i) for i in range(4_000)]
    assert {choose(routes, "salt", key) for key in keys} == {CHAMPION}
    assert abs(sum(shadows(routes, "salt", key) == (shadow,) for key in keys) - 2_000) < 127


def test_who_is_shadowed_has_nothing_to_do_with_who_is_the_canary() -> None:
    routes = [*split(0.5), Route(version=3, share=0.5, role=Role.SHADOW)]
    both = sum(
        choose(routes, "salt", str(i)).role is Role.CANARY and bool(shadows(routes, "salt", str(i)))
        for i in range(4_000)
    )
    assert abs(both - 1_000) < 110
