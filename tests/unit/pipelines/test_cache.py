from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.pipelines.building import Project

from flyball.pipelines.entities import PipelineRun, RunState

# Each step leaves a line in a file whenever it really runs.
COUNTED = """
    import pathlib

    def note(name):
        with open(pathlib.Path(__file__).parent / "ran.txt", "a") as file:
            print(name, file=file)

    @step
    def number(n: int):
        note("number")
        return {"n": n}

    @step
    def double(number: dict, by: float = 2.0):
        note("double")
        return number["n"] * by

    @step(cache=False)
    def publish(value: float):
        note("publish")
        return value

    @pipeline
    def main(n: int = 1, by: float = 2.0):
        return publish(double(number(n), by))
"""


def ran(project: Project) -> list[str]:
    path = project.code / "ran.txt"
    lines = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


def cached(run: PipelineRun) -> list[bool]:
    return [step.cached for step in run.steps]


@pytest.fixture
def first(project: Project) -> PipelineRun:
    project.write(COUNTED)
    run = project.run()
    assert ran(project) == ["number", "double", "publish"]
    return run


def test_an_equal_call_is_not_repeated_unless_it_is_not_to_be_cached(project: Project, first: PipelineRun) -> None:
    second = project.run()

    assert ran(project) == ["publish"]
    assert (second.result, cached(second)) == (first.result, [True, True, False])
    assert [step.cached_from for step in second.steps] == [first.id, first.id, None]
    assert [step.key for step in second.steps] == [step.key for step in first.steps]


def test_another_parameter_runs_the_steps_that_depend_on_it(project: Project, first: PipelineRun) -> None:
    assert project.run(by=3.0).result == 3
    assert ran(project) == ["double", "publish"]


def test_another_input_runs_the_step_that_reads_it(project: Project, first: PipelineRun) -> None:
    assert project.run(n=5).result == 10
    assert ran(project) == ["number", "double", "publish"]


def test_a_change_anywhere_in_the_module_runs_its_steps_again(project: Project, first: PipelineRun) -> None:
    project.write(COUNTED + "\n    # a comment\n")

    project.run()

    assert ran(project) == ["number", "double", "publish"]


def test_a_change_in_a_module_of_the_project_that_the_step_imports_runs_it_again(project: Project) -> None:
    project.write("RATE = 2\n", module="rates")
    source = """
        import rates

        @step
        def rate():
            return rates.RATE

        @pipeline
        def main():
            return rate()
    """
    project.write(source)
    written_ns = (project.code / "rates.py").stat().st_mtime_ns
    assert project.run().result == 2

    project.write("RATE = 3\n", module="rates")
    # Same size, same time: Python's bytecode cache would run the old code.
    os.utime(project.code / "rates.py", ns=(written_ns, written_ns))

    assert project.run().result == 3


def test_a_step_that_imports_a_file_the_plan_did_not_see_is_not_cached_and_says_so(project: Project) -> None:
    project.write("RATE = 2\n", module="rates")
    project.write(
        """
        @step
        def rate():
            import rates
            return rates.RATE

        @pipeline
        def main():
            return rate()
        """
    )
    first = project.run()
    project.write("RATE = 3\n", module="rates")

    second = project.run()

    assert (first.result, second.result, cached(second)) == (2, 3, [False])
    assert "[not cached: the step itself imported " in project.log(first, "rate")


def test_two_checkouts_of_the_same_code_share_the_cache(project: Project, first: PipelineRun, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "shop.py").write_bytes((project.code / "shop.py").read_bytes())
    submitted = project.pipelines.submit("shop:main", {}, actor="user:owner")

    run = project.pipelines.execute(submitted.id, environment={"PYTHONPATH": str(elsewhere)}, holder="test")

    assert cached(run) == [True, True, False]


def test_the_set_of_installed_packages_is_part_of_the_key(project: Project, first: PipelineRun) -> None:
    (project.code / "othello-2.0.dist-info").mkdir()

    assert cached(project.run()) == [False, False, False]


def remove(path: Path) -> None:
    path.unlink()


def damage(path: Path) -> None:
    path.chmod(0o600)
    path.write_bytes(b'{"n":7}')


def cut(path: Path) -> None:
    path.chmod(0o600)
    os.truncate(path, 2)


@pytest.mark.parametrize("harm", [remove, damage, cut])
def test_a_cached_output_whose_bytes_are_gone_or_damaged_is_computed_again(
    project: Project, first: PipelineRun, harm: Callable[[Path], None], tmp_path: Path
) -> None:
    output = first.steps[0].output
    assert output is not None
    with project.artifacts.blobs.fetch(output.digest) as path:
        harm(path)

    second = project.run()

    assert (second.result, cached(second)) == (first.result, [False, True, False])
    assert cached(project.run())[0]


def test_two_equal_calls_in_one_plan_run_once_when_cached_and_twice_when_not(project: Project) -> None:
    project.write(
        COUNTED
        + """
    @pipeline
    def twice():
        return [publish(double(number(1))), publish(double(number(1)))]
"""
    )

    project.run("shop:twice")

    assert ran(project) == ["number", "double", "publish", "publish"]


def test_one_and_one_point_zero_have_different_keys(project: Project) -> None:
    project.write(
        "@step\ndef kind(x):\n    return type(x).__name__\n\n@pipeline\ndef main():\n    return [kind(1), kind(1.0)]\n"
    )

    assert project.run().result == ["int", "float"]


def test_code_that_changes_while_the_run_goes_on_is_not_mixed(project: Project) -> None:
    project.write(
        """
        import pathlib

        @step
        def edit() -> int:
            path = pathlib.Path(__file__)
            path.write_text(path.read_text() + "# edited")
            return 1

        @step
        def after(n: int) -> int:
            return n

        @pipeline
        def main():
            return after(edit())
        """
    )

    run = project.run()

    assert run.state is RunState.FAILED
    assert run.error is not None
    assert "shop.py changed after the plan was made; resume the run to use the new code" in run.error
    # The edited source no longer edits itself to something new: edit() is run again under its new key.
    assert project.again(run).state is RunState.FAILED
