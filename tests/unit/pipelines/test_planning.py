from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from flyball.kernel.errors import FlyballError, InvalidInput, NotFound, UnknownKey
from flyball.pipelines.exchange import FromDataset, FromStep, Literal, Plan
from flyball.pipelines.planning import make_plan

NUMBERS = itertools.count()
DATASET = {"dataset": "elec2/1", "digest": "a" * 64}
STEPS = """
from __future__ import annotations
import pyarrow as pa
from flyball.pipelines import pipeline, step

@step
def rows(count: int) -> pa.Table: ...

@step
def fit(table: pa.Table, depth: int = 3, names: list[str] | None = None) -> dict[str, float]: ...

@step
def free(x): ...

"""

PlanOf = Callable[..., Plan]


@pytest.fixture
def plan_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlanOf:
    """Plan a pipeline of the given body, in a fresh module."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def plan(body: str, *, takes: str = "", extra: str = "", **parameters: object) -> Plan:
        module = f"planned_{next(NUMBERS)}"
        source = STEPS + extra + f"\n@pipeline\ndef main({takes}):\n" + textwrap.indent(textwrap.dedent(body), "    ")
        (tmp_path / f"{module}.py").write_text(source, encoding="utf-8")
        return make_plan(f"{module}:main", parameters)

    return plan


def test_a_plan_lists_the_calls_in_order_with_defaults_filled_in(plan_of: PlanOf) -> None:
    plan = plan_of("return fit(rows(count), depth=4)", takes="count: int", count=7)

    assert [(step.name, step.cache) for step in plan.steps] == [("rows", True), ("fit", True)]
    assert plan.steps[0].arguments == {"count": Literal(7)}
    assert plan.steps[1].arguments == {"table": FromStep(0), "depth": Literal(4), "names": Literal(None)}
    assert plan.result == FromStep(1)


def test_a_dataset_reference_stands_for_its_rows(plan_of: PlanOf) -> None:
    plan = plan_of("return fit(data)", takes="data: pa.Table", data=DATASET)

    assert plan.steps[0].arguments["table"] == FromDataset(dataset="elec2/1", digest="a" * 64)


@pytest.mark.parametrize(
    ("body", "takes", "parameters", "field", "message"),
    [
        ("fit(rows(1), dept=4)", "", {}, "dept", "unknown key 'dept' in the arguments of 'fit'; did you mean depth?"),
        ("rows(1)", "count: int", {"cuont": 1}, "cuont", "in the arguments of 'main'; did you mean count?"),
        ("rows(1)", "count: int", {}, "main", "missing a required argument: 'count'"),
        ("rows()", "", {}, "rows", "missing a required argument: 'count'"),
        ("rows('3')", "", {}, "count", "argument 'count' of step 'rows': Expected `int`, got `str`"),
        ("rows(True)", "", {}, "count", "argument 'count' of step 'rows': Expected `int`, got `bool`"),
        ("rows(1)", "n: int", {"n": "1"}, "n", "parameter 'n' of pipeline 'main': Expected `int`, got `str`"),
        ("fit(rows(1), names=['a', 2])", "", {}, "names", "Expected `str`, got `int` - at `$[1]`"),
        ("fit({'a': 1})", "", {}, "table", "expected a pyarrow.Table, got dict"),
        ("rows(fit(rows(1)))", "", {}, "count", None),
        ("fit(fit(rows(1)))", "", {}, "table", "expected table, got json from <output of step fit>"),
        ("rows(data)", "data", {"data": DATASET}, "count", "expected json, got table"),
        ("free(data)", "data", {"data": {"dataset": "elec2/1"}}, "data", "needs both its version and its digest"),
        ("free(float('nan'))", "", {}, "x", "argument 'x' of step 'free' is nan, which JSON cannot hold"),
        ("free([1, {'a': object()}])", "", {}, "x", "argument 'x' of step 'free' at [1]['a'] is a builtins.object"),
        ("free({2: 1})", "", {}, "x", "has the key 2, which is no text"),
        ("free(b'x')", "", {}, "x", "is a builtins.bytes, which is no JSON value"),
        ("return 1", "", {}, None, "the pipeline called no step"),
        ("rows(1); return {1, 2}", "", {}, "return", "the pipeline's result is a builtins.set"),
        ("if free(1): rows(1)", "", {}, "free", "the output of step 'free' is not known while the plan is made"),
        ("free(1) == 1", "", {}, "free", "use it inside another step, not in the pipeline"),
        ("free(f'{free(1)}')", "", {}, "free", "is not known while the plan is made"),
        ("free(free(1)['a'])", "", {}, "free", "is not known while the plan is made"),
        ("free(rows(1).num_rows)", "", {}, "rows", "is not known while the plan is made"),
    ],
)
def test_a_wrong_call_is_refused_with_step_and_argument(
    plan_of: PlanOf, body: str, takes: str, parameters: dict[str, object], field: str | None, message: str | None
) -> None:
    if message is None:  # dict[str, float] where an int is asked for: both are JSON, so only the step itself can tell
        assert len(plan_of(body, takes=takes, **parameters).steps) == 3
        return
    with pytest.raises(InvalidInput) as caught:
        plan_of(body, takes=takes, **parameters)
    assert message in caught.value.message
    assert caught.value.field == field


def test_an_unknown_argument_has_its_own_code(plan_of: PlanOf) -> None:
    with pytest.raises(UnknownKey):
        plan_of("fit(rows(1), dept=4)")


def test_an_annotation_that_cannot_be_read_is_an_error_and_not_ignored(plan_of: PlanOf) -> None:
    with pytest.raises(InvalidInput, match="annotation 'Missing' of 'x' in 'typed' cannot be read"):
        plan_of("typed(1)", extra="@step\ndef typed(x: Missing): ...\n")


def test_an_output_of_another_plan_is_refused(plan_of: PlanOf) -> None:
    extra = "kept = []\n\n@pipeline\ndef other():\n    kept.append(free(1))\n"
    body = """
    from flyball.pipelines.planning import make_plan
    make_plan(f"{__name__}:other", {})
    free(kept[0])
    """
    with pytest.raises(InvalidInput, match="argument 'x' of step 'free' is the output of a step of another plan"):
        plan_of(body, extra=extra)


def test_a_pipeline_called_in_a_pipeline_joins_its_plan(plan_of: PlanOf) -> None:
    plan = plan_of("return fit(inner(2))", extra="@pipeline\ndef inner(n):\n    return rows(n)\n")

    assert [step.name for step in plan.steps] == ["rows", "fit"]


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("no_such_module:main", NotFound, "there is no module 'no_such_module'"),
        ("json.no_such:main", NotFound, "there is no module 'json.no_such'"),
        ("json:no_such", NotFound, "module 'json' has no 'no_such'"),
        ("json:dumps", InvalidInput, "'json:dumps' is a function, no pipeline; decorate it with @pipeline"),
    ],
)
def test_a_path_that_names_no_pipeline_is_refused(path: str, error: type[FlyballError], message: str) -> None:
    with pytest.raises(error) as caught:
        make_plan(path, {})
    assert message in caught.value.message
    assert caught.value.field == "pipeline"


def test_a_module_that_imports_a_missing_one_is_not_called_missing_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "importing.py").write_text("import missing_library\n")

    with pytest.raises(ModuleNotFoundError, match="missing_library"):
        make_plan("importing:main", {})
