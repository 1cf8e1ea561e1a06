"""A loop file is read strictly: what cannot be is refused when it is set, and named."""

from __future__ import annotations

import pytest
from tests.unit.retraining.documents import LOOP

from flyball.kernel.errors import InvalidInput, UnknownKey
from flyball.retraining.loops import parse_loop


def test_a_loop_file_says_all_of_it() -> None:
    loop = parse_loop(LOOP)
    assert (loop.loop, loop.endpoint, loop.pipeline) == ("price", "price", "shop:train")
    assert (loop.training.span_ms, loop.training.recent_ms) == (12 * 86_400_000, 2 * 86_400_000)
    assert (loop.cool_down_ms, loop.period_ms, loop.max_requests) == (4 * 86_400_000, 60 * 86_400_000, 2)
    assert loop.react_to == ("data_fault", "quality_drop")
    assert loop.time_column == "time_ms"
    assert not loop.ratchet


@pytest.mark.parametrize(
    ("said", "instead", "field"),
    [
        ("loop: price", "loop: a b", "loop"),
        ("loop: price", f"loop: {'p' * 101}", "loop"),
        ("endpoint: price", "endpoint: ''", "endpoint"),
        ("model: price", "model: ' '", "model"),
        ("monitor: price", "monitor: ''", "monitor"),
        ("policy: production", "policy: ''", "policy"),
        ("pipeline: shop:train", "pipeline: shop", "pipeline"),
        ("pipeline: shop:train", "pipeline: 'shop:'", "pipeline"),
        ("label_column: up", "label_column: ''", "label_column"),
        ("label_column: up", "label_column: time_ms", "label_column"),
        ("label_column: up", "label_column: 7", "label_column"),
        ("cool_down: 4d", "cool_down: soon", "cool_down"),
        ("max_requests: 2", "max_requests: 0", "max_requests"),
        ("max_requests: 2", "max_requests: 2\nanswer_within: 0d", "answer_within"),
        ("max_requests: 2", "max_requests: 2\nanswer_within: soon", "answer_within"),
        ("period: 60d", "period: 0d", "period"),
        ("span: 12d", "span: 2d", "training.span"),
        ("span: 12d", "span: long", "training.span"),
        ("recent: 2d", "recent: 0d", "training.recent"),
        ("holdout_every: 3", "holdout_every: 1", "training.holdout_every"),
        ("holdout_every: 3", "holdout_every: 3, base: history", "training.base"),
        ("share: 0.5", "share: 1.0", "canary.share"),
        ("alpha: 0.05", "alpha: 0.6", "canary.alpha"),
        ("alpha: 0.05", "alpha: .nan", "canary.alpha"),
        ("margin: 0.05", "margin: 1", "canary.margin"),
        ("min_rows: 20", "min_rows: 0", "canary.min_rows"),
        ("max_rows: 60", "max_rows: 10", "canary.max_rows"),
        ("label_column: up", "label_column: up\nreact_to: [quality]", "react_to"),
        ("label_column: up", "label_column: up\nratchet: 1", "ratchet"),
    ],
)
def test_a_value_that_cannot_be_names_its_field(said: str, instead: str, field: str) -> None:
    assert said in LOOP
    with pytest.raises(InvalidInput) as raised:
        parse_loop(LOOP.replace(said, instead))
    assert raised.value.field == field


def test_a_changed_concept_may_open_a_request() -> None:
    assert parse_loop(LOOP.replace("label_column: up", "label_column: up\nreact_to: [concept]")).react_to == (
        "concept",
    )


@pytest.mark.parametrize(
    ("kind", "why"), [("bias", "promote that version"), ("capture_loss", "why the endpoint could not keep its answers")]
)
def test_what_no_training_mends_is_refused_with_the_reason(kind: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=f"'{kind}' is no cause to retrain: .*{why}") as raised:
        parse_loop(LOOP.replace("label_column: up", f"label_column: up\nreact_to: [{kind}]"))
    assert raised.value.field == "react_to"


def test_an_unknown_key_names_what_may_have_been_meant() -> None:
    with pytest.raises(UnknownKey, match="cool_down"):
        parse_loop(LOOP.replace("cool_down", "cooldown"))


@pytest.mark.parametrize(
    ("said", "instead", "field", "meant"),
    [
        ("recent: 2d", "recent: 2d, holdout_evry: 3", "holdout_evry", "holdout_every"),
        ("alpha: 0.05", "alpha: 0.05, aplha: 0.1", "aplha", "alpha"),
    ],
)
def test_an_unknown_key_in_a_part_names_what_that_part_knows(said: str, instead: str, field: str, meant: str) -> None:
    with pytest.raises(UnknownKey, match=f"did you mean {meant}") as raised:
        parse_loop(LOOP.replace(said, instead))
    assert raised.value.field == field


@pytest.mark.parametrize(
    ("line", "field"),
    [("label_column: up\n", "label_column"), ("span: 12d, ", "training.span"), ("alpha: 0.05, ", "canary.alpha")],
)
def test_a_missing_key_is_named_with_its_place(line: str, field: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        parse_loop(LOOP.replace(line, ""))
    assert raised.value.field == field


def test_a_canary_without_a_stop_rule_is_refused() -> None:
    with pytest.raises(InvalidInput, match="alpha"):
        parse_loop(LOOP.replace("alpha: 0.05, ", ""))
