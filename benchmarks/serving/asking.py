"""Ask a server as it wants to be asked, and hold what it answers against the model's own predictions."""

from __future__ import annotations

import http.client
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.environments import PEERS
from benchmarks.serving.encodings import Array, Encoding
from benchmarks.serving.load import Request
from benchmarks.serving.servers import MODEL, SCRIPTS, Server

ANSWER_S = 60
# Models in 32 bits add up in another order when they see another number of rows.
TOLERANCE = 1e-5
ASKED_ONE_BY_ONE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model on disk, rows, and what the model itself says to them."""

    name: str
    folder: Path
    rows: Array
    answers: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is sent over gRPC, and how many bytes the right answer has."""

    body: bytes
    answer_bytes: int


def read_subject(folder: Path, name: str) -> Subject:
    """Read a model that was trained before."""
    home = folder / name
    return Subject(name=name, folder=home, rows=np.load(home / "rows.npy"), answers=np.load(home / "answers.npy"))


def request_of(server: Server, encoding: Encoding, batches: list[Array]) -> Request:
    """Make what a load sends; the batches have one size, so their headers are the same."""
    headers = {"Content-Type": encoding.content_type, **server.headers, **encoding.headers(batches[0])}
    return Request(path=encoding.path, bodies=[encoding.body(batch) for batch in batches], headers=headers)


def single_rows(subject: Subject) -> list[Array]:
    """Return requests of one row each."""
    return [subject.rows[at : at + 1] for at in range(64)]


def check(server: Server, subject: Subject) -> None:
    """Hold answers to single rows against the model's.

    Raises:
        SystemExit: a wrong answer.
    """
    for at in range(ASKED_ONE_BY_ONE):
        _check_rows(server, server.one, subject.rows[at : at + 1], subject.answers[at : at + 1])


def check_many(server: Server, encoding: Encoding, subject: Subject) -> Message | None:
    """Hold the answer to all rows at once against the model's; returns the message where it went over gRPC.

    Raises:
        SystemExit: a wrong answer.
    """
    if encoding.grpc:
        return grpc_message(server, subject.rows, subject.answers)
    _check_rows(server, encoding, subject.rows, subject.answers)
    return None


def grpc_message(server: Server, rows: Array, wanted: Array) -> Message:
    """Ask over gRPC with the official library, and return the message that asked.

    Raises:
        SystemExit: a wrong answer, or none.
    """
    with tempfile.TemporaryDirectory(prefix="flyball-grpc-") as folder:
        np.save(Path(folder) / "rows.npy", rows)
        python, script = str(PEERS / "mlserver" / "bin" / "python"), str(SCRIPTS / "grpc_client.py")
        command = [python, script, str(server.grpc_port), MODEL, f"{folder}/rows.npy", folder]
        command += [server.headers[name] for name in ("Authorization",) if name in server.headers]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=2 * ANSWER_S)
        if done.returncode:
            raise SystemExit(f"{server.name} gave no good answer over gRPC: {done.stderr[-1_000:]}")
        _compare(server.name, "gRPC", np.load(Path(folder) / "answer.npy"), wanted)
        return Message(body=(Path(folder) / "message").read_bytes(), answer_bytes=int(done.stdout))


def _check_rows(server: Server, encoding: Encoding, rows: Array, wanted: Array) -> None:
    headers = {"Content-Type": encoding.content_type, **server.headers, **encoding.headers(rows)}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=ANSWER_S)
    try:
        connection.request("POST", encoding.path, body=encoding.body(rows), headers=headers)
        answer = connection.getresponse()
        data = answer.read()
    except OSError as error:
        raise SystemExit(f"{server.name} gave no answer to {encoding.name}: {error}") from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise SystemExit(f"{server.name} refused {encoding.name}: {answer.status} {data[:300]!r}")
    found = encoding.answer(data, {name.lower(): value for name, value in answer.getheaders()})
    _compare(server.name, encoding.name, found, wanted)


def _compare(server: str, encoding: str, found: Array, wanted: Array) -> None:
    if found.size != wanted.size or not np.allclose(found.reshape(wanted.shape), wanted, rtol=0, atol=TOLERANCE):
        raise SystemExit(f"{server} answers wrongly by {encoding}: {found.ravel()[:5]}, not {wanted.ravel()[:5]}")
