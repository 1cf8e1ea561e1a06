"""Declare steps and pipelines: the decorators, and the outputs that stand for values not computed yet.

Called inside a pipeline that is being planned, a step notes the call and returns an `Output`. Called anywhere else, it
is the plain function, so a step is tested, and a pipeline debugged, as ordinary Python.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Generic, NoReturn, ParamSpec, Protocol, TypeVar, cast, overload

from flyball.kernel.errors import InvalidInput

P = ParamSpec("P")
R = TypeVar("R")

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Planner(Protocol):
    """Whoever collects the calls of steps while a plan is made."""

    def add(self, called: Step[..., object], positional: tuple[object, ...], named: Mapping[str, object]) -> Output:
        """Note a call and return what stands for its result."""
        ...


PLANNER: ContextVar[Planner | None] = ContextVar("PLANNER", default=None)
"""The plan being made in this thread, if any."""


class Output:
    """The result of a step, while a plan is made: it may be passed on to another step, and nothing else."""

    __slots__ = ("name", "planner", "position", "source")

    def __init__(self, *, planner: Planner, position: int, name: str, source: Step[..., object]) -> None:
        self.planner = planner
        self.position = position
        self.name = name
        self.source = source

    def __repr__(self) -> str:
        return f"<output of step {self.name}>"

    def _refuse(self, *_: object) -> NoReturn:
        raise InvalidInput(
            f"the output of step '{self.name}' is not known while the plan is made; "
            "use it inside another step, not in the pipeline",
            field=self.name,
        )

    # Without these, a comparison or a formatted text would quietly be about the placeholder.
    __bool__ = __iter__ = __len__ = __getitem__ = __contains__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __hash__ = None  # type: ignore[assignment]
    __str__ = __format__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _refuse
    __int__ = __float__ = __index__ = __call__ = _refuse

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse()


class Step(Generic[P, R]):
    """A function that runs in a process of its own, and whose result is kept under the digest of what made it."""

    def __init__(self, function: Callable[P, R], *, cache: bool) -> None:
        _refuse_variadic(function, "step")
        if "<locals>" in function.__qualname__ or "." in function.__qualname__:
            raise InvalidInput(
                f"step '{function.__qualname__}' is not at the top of its module, so a child process cannot import it",
                field=function.__qualname__,
            )
        functools.update_wrapper(self, function)
        self.function = function
        self.cache = cache

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Note the call in the plan being made, or just call the function."""
        planner = PLANNER.get()
        if planner is None:
            return self.function(*args, **kwargs)
        return cast("R", planner.add(cast("Step[..., object]", self), args, kwargs))

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.__name__

    @property
    def path(self) -> str:
        """`module:function`."""
        return f"{self.function.__module__}:{self.function.__name__}"


class Pipeline(Generic[P, R]):
    """A function that calls steps. It runs only to make a plan."""

    def __init__(self, function: Callable[P, R]) -> None:
        _refuse_variadic(function, "pipeline")
        functools.update_wrapper(self, function)
        self.function = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function: inside a plan its steps join the plan, elsewhere they run here and now, uncached."""
        return self.function(*args, **kwargs)


@overload
def step(function: Callable[P, R]) -> Step[P, R]: ...


@overload
def step(*, cache: bool = ...) -> Callable[[Callable[P, R]], Step[P, R]]: ...


def step(
    function: Callable[P, R] | None = None, *, cache: bool = True
) -> Step[P, R] | Callable[[Callable[P, R]], Step[P, R]]:
    """Make a function a step: `@step`, or `@step(cache=False)` for one that does more than return a value.

    Arguments and result are JSON values, `pyarrow.Table` or `bytes`. Annotations are checked.

    Raises:
        InvalidInput: the function takes `*args` or `**kwargs`, or is not at the top of its module.
    """
    if function is not None:
        return Step(function, cache=cache)
    return functools.partial(Step, cache=cache)


def pipeline(function: Callable[P, R]) -> Pipeline[P, R]:
    """Make a function a pipeline.

    Raises:
        InvalidInput: the function takes `*args` or `**kwargs`.
    """
    return Pipeline(function)


def _refuse_variadic(function: Callable[..., object], what: str) -> None:
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in _VARIADIC:
            raise InvalidInput(
                f"{what} '{function.__qualname__}' takes '{parameter}'; name every parameter, so that each can be checked",
                field=parameter.name,
            )
