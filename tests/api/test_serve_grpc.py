"""`flyball serve --grpc-port` as a process: under load it drains on SIGTERM, and comes back after a kill."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pyarrow.parquet as pq
from tests.api.test_serve import WAIT_S, Served, folders, start
from tests.ports import free_port

from flyball.server.inference.grpc_messages import MESSAGES, SERVICE

__all__ = ["folders", "start"]  # fixtures
CALLERS = 4
# A call that finds no server, or whose server is ending: nothing was predicted, or its answer did not get out.
GONE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}


def ask(channel: grpc.Channel, name: str, *, wait_for_ready: bool = False) -> grpc.StatusCode:
    tensor = MESSAGES["InferInputTensor"](name="x", datatype="FP64", shape=[1])
    tensor.contents.fp64_contents.append(1.0)
    request = MESSAGES["ModelInferRequest"](model_name="add", inputs=[tensor])
    request.parameters["prediction_ids"].string_param = json.dumps([name])
    infer = channel.unary_unary(
        f"/{SERVICE}/ModelInfer",
        MESSAGES["ModelInferRequest"].SerializeToString,
        MESSAGES["ModelInferResponse"].FromString,
    )
    try:
        answer = infer(request, timeout=WAIT_S, wait_for_ready=wait_for_ready)
    except grpc.RpcError as error:
        return error.code()
    assert [round(value, 6) for value in answer.outputs[0].contents.fp64_contents] == [2.0]
    return grpc.StatusCode.OK


class Load:
    """Callers that ask until their server has gone, and what they were answered."""

    def __init__(self, port: int) -> None:
        self.answered: list[str] = []
        self.ends: list[grpc.StatusCode] = []
        self.enough = threading.Event()
        self.threads = [threading.Thread(target=self._ask, args=(port, number)) for number in range(CALLERS)]
        for thread in self.threads:
            thread.start()
        assert self.enough.wait(WAIT_S)

    def _ask(self, port: int, number: int) -> None:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            for turn in range(1_000_000):
                code = ask(channel, f"{number}-{turn}", wait_for_ready=turn == 0)
                if code is not grpc.StatusCode.OK:
                    self.ends.append(code)
                    return
                self.answered.append(f"{number}-{turn}")
                if len(self.answered) >= 10 * CALLERS:
                    self.enough.set()

    def join(self) -> None:
        for thread in self.threads:
            thread.join()


def kept(served: Served) -> set[str]:
    tables = [pq.read_table(path) for path in (served.home / "captured" / "add").glob("*.parquet")]
    return {name for table in tables for name in table.column("prediction_id").to_pylist()}


def test_a_drain_answers_what_was_accepted_and_a_kill_is_survived(
    start: Callable[..., Any], folders: dict[str, Path]
) -> None:
    port = free_port()
    arguments = (f"add={folders['first']}", "--grpc-port", str(port), "--without-key")
    served = start(*arguments).wait()
    load = Load(port)
    assert served.end() == 0
    load.join()
    assert len(load.ends) == CALLERS
    assert set(load.ends) <= GONE
    assert kept(served) >= set(load.answered)

    again = start(*arguments).wait()
    killed = Load(port)
    os.kill(again.popen.pid, signal.SIGKILL)
    again.popen.wait(WAIT_S)
    killed.join()
    assert len(killed.ends) == CALLERS  # each was told; whatever the code, nobody waits
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert ask(channel, "nobody") in GONE
        start(*arguments).wait()
        assert ask(channel, "back", wait_for_ready=True) is grpc.StatusCode.OK
