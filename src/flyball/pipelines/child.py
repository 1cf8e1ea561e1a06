"""The child process: make a plan, or run one step, as told on standard input (`python -m flyball.pipelines.child`).

The working directory is a fresh folder: the outcome and the step's output are left there as files. What user code prints
goes to the log. When the parent dies, the pipe on standard input ends, and the child ends with its whole process group.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from types import TracebackType

import msgspec

from flyball.kernel.errors import FlyballError, InvalidInput
from flyball.pipelines import checking
from flyball.pipelines.declaration import Step
from flyball.pipelines.entities import ValueKind
from flyball.pipelines.exchange import (
    OUTCOME_FILE,
    OUTPUT_FILE,
    Argument,
    Fields,
    FromFile,
    Items,
    Literal,
    Outcome,
    PlanTask,
    Raised,
    Returned,
    StepTask,
    Task,
)
from flyball.pipelines.fingerprint import changed_source, compile_projects_from_source, unplanned_sources
from flyball.pipelines.planning import load, make_plan
from flyball.pipelines.values import read_value, write_value


def main() -> None:
    """Do the task, and leave the outcome in the working directory."""
    folder = Path.cwd()
    task: Task = msgspec.json.decode(sys.stdin.buffer.readline(), type=PlanTask | StepTask)
    end_with_parent()
    follow_python_path()
    compile_projects_from_source()
    # A pipe is buffered by the block: without this, what a step printed before it was killed would be lost.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    outcome = attempt(task, folder)
    sys.stdout.flush()
    unfinished = folder / f"{OUTCOME_FILE}.part"
    unfinished.write_bytes(msgspec.json.encode(outcome))
    unfinished.rename(folder / OUTCOME_FILE)


def follow_python_path() -> None:
    """Put the folders of PYTHONPATH on the import path, for a process that was forked with another one."""
    for folder in reversed(os.environ.get("PYTHONPATH", "").split(os.pathsep)):
        if folder and folder not in sys.path:
            sys.path.insert(0, folder)


def attempt(task: Task, folder: Path) -> Outcome:
    """Do the task; whatever user code raises becomes part of the outcome, and its traceback goes to the log."""
    what = "the plan" if isinstance(task, PlanTask) else f"step '{task.name}'"
    try:
        if isinstance(task, PlanTask):
            return make_plan(task.pipeline, task.parameters)
        return _run_step(task, folder / OUTPUT_FILE)
    except FlyballError as error:
        traceback.print_exc()
        return Raised(message=f"{what}: {error.message}", field=error.field)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 -- user code may raise anything, SystemExit included
        traceback.print_exc()
        return Raised(message=f"{what} raised {type(error).__name__}: {error}{_place(error.__traceback__)}")


def end_with_parent() -> None:
    """Watch standard input, which the parent holds open; at its end kill this process group, step and children."""
    watched = os.dup(sys.stdin.fileno())
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())
    os.close(nothing)
    threading.Thread(target=_watch, args=(watched,), daemon=True).start()


def _watch(descriptor: int) -> None:
    os.read(descriptor, 1)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def _run_step(task: StepTask, output: Path) -> Returned:
    found = load(task.step)
    if not isinstance(found, Step):
        raise InvalidInput(f"'{task.step}' is no step any more")
    changed = changed_source(task.sources)
    if changed is not None:
        raise InvalidInput(f"{changed} changed after the plan was made; resume the run to use the new code")
    arguments = {name: _convert(found, name, _load_argument(value)) for name, value in task.arguments.items()}
    result = found.function(**arguments)
    kind = _keep(found, result, output)
    unplanned = unplanned_sources(task.sources)
    if unplanned and found.cache:
        print(f"[not cached: the step itself imported {', '.join(unplanned)}; import it where the plan sees it]")  # noqa: T201 -- into the log
    return Returned(kind=kind.value, unplanned=unplanned)


def _convert(found: Step[..., object], parameter: str, value: object) -> object:
    try:
        return checking.convert(value, checking.annotation_of(found.function, parameter))
    except InvalidInput as error:
        raise InvalidInput(f"argument '{parameter}': {error.message}", field=parameter) from error


def _load_argument(argument: Argument) -> object:
    match argument:
        case Literal():
            return argument.value
        case FromFile():
            return read_value(ValueKind(argument.kind), Path(argument.path))
        case Items():
            return [_load_argument(item) for item in argument.items]
        case Fields():
            return {key: _load_argument(member) for key, member in argument.fields.items()}
        case _:
            raise InvalidInput(f"a {type(argument).__name__} reached a step without its value")


def _keep(found: Step[..., object], result: object, output: Path) -> ValueKind:
    try:
        kind = checking.result_kind(result, checking.annotation_of(found.function, "return"))
    except InvalidInput as error:
        raise InvalidInput(f"its result cannot be kept: {error.message}", field="return") from error
    write_value(result, kind, output)
    return kind


def _place(trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""


if __name__ == "__main__":
    main()
