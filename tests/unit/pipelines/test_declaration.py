from __future__ import annotations

import pytest

from flyball.kernel.errors import InvalidInput
from flyball.pipelines import pipeline, step


@step
def add(a: int, b: int = 1) -> int:
    """Add."""
    return a + b


@step(cache=False)
def say(text: str) -> str:
    return text


@pipeline
def three() -> int:
    return add(add(1))


def test_outside_a_plan_steps_and_pipelines_are_plain_functions() -> None:
    assert (add(1, b=2), say("x"), three()) == (3, "x", 3)


def test_a_step_keeps_the_name_and_text_of_its_function() -> None:
    assert (add.name, add.__doc__, add.path) == ("add", "Add.", f"{__name__}:add")
    assert (add.cache, say.cache) == (True, False)


def test_a_step_inside_a_function_is_refused() -> None:
    with pytest.raises(InvalidInput, match="is not at the top of its module, so a child process cannot import it"):

        @step
        def inner() -> int:
            return 1


@pytest.mark.parametrize("function", [lambda *rows: rows, lambda **options: options])
def test_a_function_of_nameless_arguments_is_refused(function: object) -> None:
    with pytest.raises(InvalidInput, match="name every parameter, so that each can be checked"):
        pipeline(function)  # type: ignore[arg-type]
