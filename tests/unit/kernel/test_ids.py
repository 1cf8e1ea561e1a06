from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from flyball.kernel.ids import new_id


def test_an_id_is_a_uuid_of_version_7() -> None:
    text = new_id()
    assert len(text) == 32
    assert text[12] == "7"
    assert text[16] in "89ab"
    assert abs(int(text[:12], 16) - time.time() * 1000) < 60_000


def test_ids_of_one_thread_ascend_beyond_the_counter_of_a_millisecond() -> None:
    made = [new_id() for _ in range(20_000)]
    assert made == sorted(set(made))


def test_ids_are_unique_over_threads_and_ascend_in_each() -> None:
    made: list[list[str]] = [[] for _ in range(8)]

    def make(mine: list[str]) -> None:
        mine.extend(new_id() for _ in range(2_000))

    threads = [threading.Thread(target=make, args=(mine,)) for mine in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(mine == sorted(mine) for mine in made)
    assert len(set().union(*made)) == 16_000


def test_ids_ascend_when_the_machine_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = new_id()
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000)
    assert new_id() > before


def test_ids_are_of_version_7() -> None:
    made = [new_id() for _ in range(1_000)]
    assert {(len(text), text[12]) for text in made} == {(32, "7")}
    assert {text[16] for text in made} == set("89ab")


def test_a_process_that_was_forked_makes_other_ids() -> None:
    code = """
import os
from flyball.kernel.ids import new_id
new_id()
child = os.fork()
os.write(1, (new_id()[17:] + " ").encode())
if child:
    os.waitpid(child, 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert len(set(done.stdout.split())) == 2
