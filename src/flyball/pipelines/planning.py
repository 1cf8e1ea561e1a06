"""Make a plan: run the pipeline's function with steps that note their calls instead of running."""

from __future__ import annotations

import importlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import flyball
from flyball.kernel.errors import InvalidInput, NotFound
from flyball.pipelines import checking
from flyball.pipelines.declaration import PLANNER, Output, Pipeline, Step
from flyball.pipelines.entities import ValueKind
from flyball.pipelines.exchange import Argument, Fields, FromDataset, FromStep, Items, Literal, Plan, PlannedStep
from flyball.pipelines.fingerprint import code_digest, loaded_sources, packages_digest

_REFERENCE_KEYS = frozenset({"dataset", "digest"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where in a call a value stands, for the messages of errors."""

    what: str
    field: str
    path: str = ""

    def __str__(self) -> str:
        return f"{self.what} at {self.path}" if self.path else self.what

    def inside(self, key: str | int) -> _Place:
        return _Place(what=self.what, field=self.field, path=f"{self.path}[{key!r}]")

    def refuse(self, why: str) -> InvalidInput:
        return InvalidInput(f"{self}{why}" if why.startswith(":") else f"{self} {why}", field=self.field)


class CallCollector:
    """The plan while it grows. A step can only use outputs that exist already, so there can be no cycle."""

    def __init__(self) -> None:
        self._calls: list[tuple[str, Step[..., object], dict[str, Argument]]] = []

    def add(self, called: Step[..., object], positional: tuple[object, ...], named: Mapping[str, object]) -> Output:
        arguments = {}
        for parameter, value in checking.bind(called.function, positional, named).items():
            place = _Place(what=f"argument '{parameter}' of step '{called.name}'", field=parameter)
            argument = self._argument(value, place)
            _check_argument(called, argument, value, place)
            arguments[parameter] = argument
        name = self._unique_name(called.name)
        self._calls.append((name, called, arguments))
        return Output(planner=self, position=len(self._calls) - 1, name=name, source=called)

    def finish(self, result: object) -> Plan:
        """Close the plan with what the pipeline returned.

        Raises:
            InvalidInput: there is no step, or the result holds something that is neither an output nor JSON.
        """
        if not self._calls:
            raise InvalidInput("the pipeline called no step; decorate its functions with @step")
        sources = loaded_sources(_package(called) for _, called, _ in self._calls)
        return Plan(
            steps=tuple(
                PlannedStep(
                    name=name,
                    step=called.path,
                    cache=called.cache,
                    code=code_digest(_package(called), sources),
                    arguments=arguments,
                )
                for name, called, arguments in self._calls
            ),
            result=self._argument(result, _Place(what="the pipeline's result", field="return")),
            sources={source.path: source.digest for source in sources},
            python=platform.python_version(),
            flyball=flyball.__version__,
            packages=packages_digest(),
        )

    def _argument(self, value: object, place: _Place) -> Argument:
        if isinstance(value, Output):
            if value.planner is not self:
                raise place.refuse("is the output of a step of another plan")
            return FromStep(value.position)
        if isinstance(value, FromDataset):
            return value
        if isinstance(value, Mapping):
            return _dataset_reference(value, place) or self._object(value, place)
        if isinstance(value, list | tuple):
            items = tuple(self._argument(item, place.inside(index)) for index, item in enumerate(value))
            return Literal([item.value for item in items]) if _plain(items) else Items(items)  # type: ignore[union-attr]
        try:
            checking.check_json(value, path=str(place))
        except InvalidInput as error:
            raise InvalidInput(error.message, field=place.field) from error
        return Literal(value)

    def _object(self, value: Mapping[object, object], place: _Place) -> Argument:
        fields: dict[str, Argument] = {}
        for key, member in value.items():
            if not isinstance(key, str):
                raise place.refuse(f"has the key {key!r}, which is no text")
            fields[key] = self._argument(member, place.inside(key))
        if _plain(tuple(fields.values())):
            return Literal({key: member.value for key, member in fields.items()})  # type: ignore[union-attr]
        return Fields(fields)

    def _unique_name(self, name: str) -> str:
        taken = {known for known, _, _ in self._calls}
        count = sum(called.name == name for _, called, _ in self._calls)
        unique = name if count == 0 else f"{name}-{count + 1}"
        return unique if unique not in taken else f"{name}-{len(taken) + 1}"


def make_plan(path: str, parameters: Mapping[str, Any]) -> Plan:
    """Import a pipeline and make its plan.

    Raises:
        NotFound: there is no such module, or no such pipeline in it.
        InvalidInput: a parameter or an argument is wrong; `field` names it.
    """
    found = load(path)
    if not isinstance(found, Pipeline):
        raise InvalidInput(
            f"'{path}' is a {type(found).__name__}, no pipeline; decorate it with @pipeline", field="pipeline"
        )
    arguments = checking.bind(found.function, (), parameters)
    for name, value in arguments.items():
        arguments[name] = _parameter(found, name, value)
    collector = CallCollector()
    token = PLANNER.set(collector)
    try:
        result = found.function(**arguments)
    finally:
        PLANNER.reset(token)
    return collector.finish(result)


def load(path: str) -> object:
    """Import `module:name`.

    Raises:
        NotFound: there is no such module, or it has no such name.
    """
    module_name, _, name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there; one that it imports is not
        raise NotFound(
            f"there is no module '{error.name}'; it must be installed, or lie in a folder that PYTHONPATH names",
            field="pipeline",
        ) from error
    try:
        return getattr(module, name)
    except AttributeError as error:
        raise NotFound(f"module '{module_name}' has no '{name}'", field="pipeline") from error


def _parameter(found: Pipeline[..., object], name: str, value: object) -> object:
    place = _Place(what=f"parameter '{name}' of pipeline '{found.function.__name__}'", field=name)
    reference = _dataset_reference(value, place) if isinstance(value, Mapping) else None
    if reference is not None:
        return reference
    try:
        return checking.convert(value, checking.annotation_of(found.function, name))
    except InvalidInput as error:
        raise place.refuse(f": {error.message}") from error


def _dataset_reference(value: Mapping[object, object], place: _Place) -> FromDataset | None:
    if not value or not set(value) <= _REFERENCE_KEYS or "dataset" not in value:
        return None
    dataset, digest = value["dataset"], value.get("digest")
    if not isinstance(dataset, str) or not isinstance(digest, str):
        raise place.refuse(
            "names a dataset, and needs both its version and its digest: "
            '{"dataset": "<name>/<version>", "digest": "<sha256>"}'
        )
    return FromDataset(dataset=dataset, digest=digest)


def _check_argument(called: Step[..., object], argument: Argument, value: object, place: _Place) -> None:
    wanted = checking.annotation_of(called.function, place.field)
    if isinstance(argument, Literal):
        try:
            checking.convert(argument.value, wanted)
        except InvalidInput as error:
            raise place.refuse(f": {error.message}") from error
        return
    offered = ValueKind.TABLE if isinstance(argument, FromDataset) else None
    if isinstance(value, Output):
        offered = checking.kind_of(checking.annotation_of(value.source.function, "return"))
    kind = checking.kind_of(wanted)
    if kind is not None and offered is not None and kind is not offered:
        raise place.refuse(f": expected {kind.value}, got {offered.value} from {value!r}")


def _plain(arguments: tuple[Argument, ...]) -> bool:
    return all(isinstance(argument, Literal) for argument in arguments)


def _package(called: Step[..., object]) -> str:
    return called.function.__module__.partition(".")[0]
