from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest
from tests.unit.pipelines.building import Project, build_project

from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict, NotFound
from flyball.kernel.events.entities import Edge, ref
from flyball.pipelines.entities import RunState, StepState
from flyball.pipelines.limits import Limits

THREE_STEPS = """
    import pyarrow as pa

    @step
    def rows(count: int) -> pa.Table:
        return pa.table({"x": list(range(count))})

    @step
    def total(table: pa.Table, factor: float = 1.0) -> float:
        return sum(table["x"].to_pylist()) * factor

    @step
    def text(value: float) -> bytes:
        return str(value).encode()

    @pipeline
    def main(count: int, factor: float = 2.0):
        table = rows(count)
        value = total(table, factor=factor)
        return {"total": value, "text": text(value), "table": table, "count": count}
"""

PRINTING = """
    @step
    def rows(count: int) -> list:
        print("making rows")
        return list(range(count))

    @step
    def total(values: list[int]) -> int:
        return sum(values)

    @pipeline
    def main(count: int):
        print("making the plan")
        return total(rows(count))
"""


def test_values_pass_from_step_to_step_and_become_the_result(project: Project) -> None:
    project.write(THREE_STEPS)

    run = project.run(count=4)

    table, _, text = (step.output for step in run.steps)
    assert table is not None
    assert text is not None
    assert run.state is RunState.SUCCEEDED
    assert run.result == {"total": 12, "text": text.to_json(), "table": table.to_json(), "count": 4}
    assert project.artifacts.read(f"pipeline-run/{run.id}", "02-text/output.bin") == b"12.0"
    assert run == project.pipelines.get(run.id)


def test_what_a_step_prints_is_its_log_and_what_the_pipeline_prints_is_that_of_the_run(project: Project) -> None:
    project.write(PRINTING)

    run = project.run(count=1)

    assert project.log(run) == "making the plan\n"
    assert project.log(run, "rows") == "making rows\n"
    with pytest.raises(NotFound, match="nothing was printed"):
        project.log(run, "total")
    with pytest.raises(NotFound, match="no step 'totl'; it has: rows, total"):
        project.log(run, "totl")


def test_every_change_of_state_is_an_event(project: Project) -> None:
    project.write(PRINTING)

    run = project.run(count=1)

    history = project.events.history(run.ref)
    assert project.kinds(run) == ["submitted", "started", *["step_finished"] * 2, "succeeded"]
    assert [event.actor for event in history] == ["user:owner", *["service:pipelines"] * 4]
    assert history[1].payload["holder"] == "test"
    assert project.events.verify().intact


def test_the_process_sees_the_given_environment_and_the_names_of_run_and_step(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "1")
    project.write(
        """
        import os

        @step
        def look() -> dict:
            return dict(os.environ)

        @pipeline
        def main():
            return look()
        """
    )

    run = project.run()

    assert isinstance(run.result, dict)
    # LC_CTYPE is set by the interpreter itself (PEP 538).
    assert run.result.keys() - {"LC_CTYPE"} == {"PATH", "PYTHONPATH", "PIPELINE_RUN_ID", "PIPELINE_STEP"}
    assert (run.result["PIPELINE_RUN_ID"], run.result["PIPELINE_STEP"]) == (run.id, "look")


def test_a_dataset_is_resolved_for_the_step_and_becomes_lineage(
    tmp_path: Path, sqlite: Database, clock: ManualClock
) -> None:
    asked = []

    def resolve(reference: object) -> pa.Table:
        asked.append(reference)
        return pa.table({"x": [1, 2, 3]})

    project = build_project(tmp_path, sqlite, clock, resolver=resolve)
    project.write(THREE_STEPS + "\n    @pipeline\n    def from_data(data: pa.Table):\n        return total(data)\n")
    reference = {"dataset": "elec2/3", "digest": "d" * 64}

    run = project.run("shop:from_data", data=reference)

    assert (run.result, asked) == (6, [reference])
    used = Edge(subject=run.ref, relation="used", object=ref("dataset-version", "elec2/3"))
    assert [event.edges for event in project.events.history(run.ref)] == [(), (), (used,), ()]
    assert project.run("shop:from_data", data=reference).steps[0].cached
    assert len(asked) == 1


def test_a_dataset_without_a_resolver_fails_the_run_with_the_name(project: Project) -> None:
    project.write(THREE_STEPS + "\n    @pipeline\n    def from_data(data):\n        return total(data)\n")

    run = project.run("shop:from_data", data={"dataset": "elec2/3", "digest": "d" * 64})

    assert run.state is RunState.FAILED
    assert run.error == "this process cannot read datasets, and the pipeline asks for 'elec2/3'"


def test_a_dataset_of_another_digest_fails_the_run_with_the_reason_of_the_resolver(
    tmp_path: Path, sqlite: Database, clock: ManualClock
) -> None:
    def refuse(reference: Mapping[str, object]) -> pa.Table:
        raise Conflict(f"dataset {reference['dataset']} has another digest")

    project = build_project(tmp_path, sqlite, clock, resolver=refuse)
    project.write("@step\ndef use(data):\n    return 1\n\n@pipeline\ndef main(data):\n    use(data)\n")

    run = project.run(data={"dataset": "elec2/3", "digest": "d" * 64})

    assert (run.state, run.error) == (RunState.FAILED, "dataset elec2/3 has another digest")
    assert [step.state for step in run.steps] == [StepState.FAILED]
    assert run.steps[0].error == run.error


def test_outputs_and_datasets_may_stand_inside_lists_and_objects(project: Project) -> None:
    project.write(
        """
        @step
        def number(n: int) -> int:
            return n

        @step
        def add(terms: list[int], extra: dict[str, int]) -> int:
            return sum(terms) + sum(extra.values())

        @pipeline
        def main():
            return [add([number(1), number(2), 10], {"a": number(100), "b": 1000})]
        """
    )

    run = project.run()

    assert run.result == [1113]
    assert [step.name for step in run.steps] == ["number", "number-2", "number-3", "add"]


def test_a_step_that_raises_fails_the_run_with_reason_and_log(project: Project) -> None:
    project.write(
        """
        @step
        def first() -> int:
            return 1

        @step
        def broken(n: int) -> int:
            print("before")
            raise ValueError("no rows left")

        @step
        def never(n: int) -> int:
            return n

        @pipeline
        def main():
            return never(broken(first()))
        """
    )

    run = project.run()

    assert run.state is RunState.FAILED
    assert run.error == "step 'broken' raised ValueError: no rows left (shop.py, line 10)"
    assert [step.state for step in run.steps] == [StepState.SUCCEEDED, StepState.FAILED, StepState.WAITING]
    assert run.steps[1].error == run.error
    assert project.log(run, "broken").startswith("before\nTraceback")
    assert project.kinds(run)[-2:] == ["step_finished", "failed"]


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("float('nan')", "it is nan, which JSON cannot hold; leave it out or use None"),
        ("{'scores': [1.0, float('inf')]}", "it['scores'][1] is inf, which JSON cannot hold"),
        ("object()", "it is a builtins.object, which is no JSON value; a step returns a JSON value"),
        ("{'when': datetime.date(2026, 1, 1)}", "it['when'] is a datetime.date, which is no JSON value"),
        ("{1: 2}", "it has the key 1, which is no text"),
        ("2**60", "beyond 2**53"),
    ],
)
def test_a_result_that_cannot_be_kept_is_refused_by_name_and_place(
    project: Project, expression: str, reason: str
) -> None:
    project.write(
        f"import datetime\n\n@step\ndef odd():\n    return {expression}\n\n@pipeline\ndef main():\n    odd()\n"
    )

    run = project.run()

    assert run.state is RunState.FAILED
    assert run.error is not None
    assert run.error.startswith("step 'odd': its result cannot be kept: ")
    assert reason in run.error


def test_a_result_of_another_kind_than_annotated_is_refused(project: Project) -> None:
    project.write("@step\ndef odd() -> bytes:\n    return 'text'\n\n@pipeline\ndef main():\n    return odd()\n")

    assert project.run().error == (
        "step 'odd': its result cannot be kept: expected bytes, as the step is annotated, got a JSON value"
    )


def test_an_input_of_another_type_than_annotated_is_refused_when_the_step_runs(project: Project) -> None:
    project.write(
        """
        @step
        def name():
            return "three"

        @step
        def twice(n: int) -> int:
            return 2 * n

        @pipeline
        def main():
            return twice(name())
        """
    )

    assert project.run().error == "step 'twice': argument 'n': Expected `int`, got `str`"


def test_a_huge_result_is_refused_and_stays_in_the_output_of_its_step(
    tmp_path: Path, sqlite: Database, clock: ManualClock
) -> None:
    project = build_project(tmp_path, sqlite, clock, limits=Limits(result_bytes=100))
    project.write("@step\ndef long() -> str:\n    return 'x' * 200\n\n@pipeline\ndef main():\n    return long()\n")

    run = project.run()

    assert run.state is RunState.FAILED
    assert run.error is not None
    assert "returned 202 bytes of JSON, and 100 are kept" in run.error
    assert run.steps[0].state is StepState.SUCCEEDED
