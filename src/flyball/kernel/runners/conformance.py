"""The promises of a runner; it passes by subclassing, with itself as the fixture `runner`. The work is done by what stands here."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from flyball.kernel.errors import ErrorCode, FlyballError, InvalidInput, Unavailable
from flyball.kernel.runners.ports import ATTEMPTS, PartRunner, Piece, Work
from flyball.kernel.runners.worker import Does

HERE = __name__
_WORKERS = 2
# More than a pipe holds.
_LARGE = 3 << 20


def open_upper(given: bytes) -> Does:
    """Return a work that writes parts in capitals, with what was given before them."""
    print("whatever a work prints, it is no answer")  # noqa: T201 -- that is the point
    return lambda content: given + content.upper()


def open_refusing(given: bytes) -> Does:
    """Return a work that refuses every part, by an error of ours or another one."""

    def refuse(content: bytes) -> bytes:
        if given == b"ours":
            raise InvalidInput(f"no {content.decode()} here", field="price")
        raise ValueError(content.decode())

    return refuse


def open_nothing(given: bytes) -> Does:
    """Refuse to be opened."""
    raise InvalidInput(f"it cannot be opened: {given.decode()}", field="model")


def open_dying(given: bytes) -> Does:
    """Return a work that kills its process at parts that begin with `x`, as often as there is no file for that in the given folder."""
    folder = Path(given.decode())

    def die(content: bytes) -> bytes:
        if content.startswith(b"x"):
            for attempt in range(int(content[1:])):
                if not (marker := folder / f"{content.decode()}-{attempt}").exists():
                    marker.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
        return content

    return die


def open_variables(given: bytes) -> Does:
    """Return a work that tells the names of the environment variables which begin like its part."""
    del given
    return lambda content: ",".join(sorted(name for name in os.environ if name.startswith(content.decode()))).encode()


def pieces(*contents: str) -> list[Piece]:
    """Return parts that are named after what is in them."""
    return [Piece(name=f"part {content}", content=content.encode()) for content in contents]


class PartRunnerConformance:
    """What every runner promises."""

    def test_every_part_is_done_once(self, runner: PartRunner) -> None:
        names = [f"part {number}" for number in range(20)]
        work = Work(opens=f"{HERE}:open_upper", given=b"> ")
        found = list(runner.run(work, pieces(*names), workers=_WORKERS))
        assert sorted(found) == sorted(f"> {name.upper()}".encode() for name in names)

    def test_no_parts_are_no_work(self, runner: PartRunner) -> None:
        assert list(runner.run(Work(opens=f"{HERE}:open_nothing"), [], workers=_WORKERS)) == []

    def test_large_parts_go_there_and_back(self, runner: PartRunner) -> None:
        content = os.urandom(_LARGE)
        work = Work(opens=f"{HERE}:open_upper")
        assert list(runner.run(work, [Piece(name="large", content=content)], workers=1)) == [content.upper()]

    def test_an_error_of_ours_comes_back_as_it_was(self, runner: PartRunner) -> None:
        work = Work(opens=f"{HERE}:open_refusing", given=b"ours")
        with pytest.raises(InvalidInput, match=r"^no tea here$") as caught:
            list(runner.run(work, pieces("tea"), workers=1))
        assert caught.value.field == "price"

    def test_another_error_is_told_by_type_and_text(self, runner: PartRunner) -> None:
        with pytest.raises(FlyballError, match="ValueError: tea") as caught:
            list(runner.run(Work(opens=f"{HERE}:open_refusing"), pieces("tea"), workers=1))
        assert caught.value.code is ErrorCode.INTERNAL

    def test_a_work_that_cannot_be_opened_says_so(self, runner: PartRunner) -> None:
        work = Work(opens=f"{HERE}:open_nothing", given=b"torn")
        with pytest.raises(InvalidInput, match="it cannot be opened: torn"):
            list(runner.run(work, pieces("a", "b"), workers=_WORKERS))

    def test_a_part_whose_worker_was_lost_is_done_by_another(self, runner: PartRunner, tmp_path: Path) -> None:
        work = Work(opens=f"{HERE}:open_dying", given=str(tmp_path).encode())
        names = ["a", f"x{ATTEMPTS - 1}", "b", "c"]
        assert sorted(runner.run(work, pieces(*names), workers=_WORKERS)) == sorted(name.encode() for name in names)
        assert len(list(tmp_path.iterdir())) == ATTEMPTS - 1

    def test_a_part_that_ends_every_worker_is_named(self, runner: PartRunner, tmp_path: Path) -> None:
        work = Work(opens=f"{HERE}:open_dying", given=str(tmp_path).encode())
        with pytest.raises(Unavailable, match=f"part x{ATTEMPTS}: "):
            list(runner.run(work, pieces("a", f"x{ATTEMPTS}"), workers=1))
        assert len(list(tmp_path.iterdir())) == ATTEMPTS

    def test_parts_are_taken_as_they_are_needed(self, runner: PartRunner) -> None:
        taken = 0

        def endless() -> Iterator[Piece]:
            nonlocal taken
            while True:
                taken += 1
                yield Piece(name="one of many", content=b"a")

        running = iter(runner.run(Work(opens=f"{HERE}:open_upper"), endless(), workers=_WORKERS))
        for done in range(1, 6):
            assert next(running) == b"A"
            assert taken - done <= 2 * _WORKERS + 1
        running.close()  # type: ignore[attr-defined]
        left = taken
        assert list(runner.run(Work(opens=f"{HERE}:open_upper"), pieces("b"), workers=1)) == [b"B"]
        assert taken == left

    def test_an_error_of_the_parts_is_passed_on(self, runner: PartRunner) -> None:
        def torn() -> Iterator[Piece]:
            yield Piece(name="whole", content=b"a")
            raise InvalidInput("the second part is torn", field="input")

        with pytest.raises(InvalidInput, match="the second part is torn"):
            list(runner.run(Work(opens=f"{HERE}:open_upper"), torn(), workers=_WORKERS))

    def test_workers_see_no_setting_of_ours(self, runner: PartRunner, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FLYBALL_TOKEN", "secret")
        found = list(runner.run(Work(opens=f"{HERE}:open_variables"), pieces("FLYBALL", "PATH"), workers=1))
        assert sorted(found) == [b"", b"PATH"]
