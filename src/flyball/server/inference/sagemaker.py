"""SageMaker's container contract: `/ping` and `/invocations` of one model, for everybody who reaches the port.

Nothing but SageMaker reaches the port of its containers, and it carries no key: so there is none, and nothing else is answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from flyball.governance.permissions import Permission
from flyball.kernel.errors import Conflict, InvalidInput, Unavailable
from flyball.kernel.settings import Settings
from flyball.server.inference.answering import Answering, asker_of
from flyball.server.inference.exchange import JSON, Asker, Exchange
from flyball.server.inference.http import Answer, Call, whole_number
from flyball.server.inference.invocations import parse_media_type, read_invocation
from flyball.server.inference.metrics import RequestCounts
from flyball.server.inference.routes import Route, get, post
from flyball.server.inference.scoring import Scoring
from flyball.server.routing import PUBLIC
from flyball.serving.host import only_name
from flyball.serving.joining import row_count_of

# What SageMaker says, and where it puts what.
EVERY_ADDRESS, PORT, PORT_VARIABLE = "0.0.0.0", 8080, "SAGEMAKER_BIND_TO_PORT"  # noqa: S104 -- as the contract has it
MODEL_NAME, MODEL_FOLDER = "model", Path("/opt/ml/model")
INFERENCE_ID, ATTRIBUTES = b"x-amzn-sagemaker-inference-id", b"x-amzn-sagemaker-custom-attributes"
LONGEST_ATTRIBUTES = 1_024
LARGEST_PORT = 65_535


def container_routes(answering: Answering, _counts: RequestCounts) -> list[Route]:
    """Return the table of a container: the two paths of the contract."""
    return Container(answering).routes()


class Container(Scoring):
    """The verbs of the contract."""

    def routes(self) -> list[Route]:
        """Return the table."""
        return [
            get("/ping", PUBLIC, self.ready, "Tell whether requests can be sent"),
            post("/invocations", Permission.ENDPOINTS_INFER, self.invocations, "Predict a table"),
        ]

    async def invocations(self, call: Call) -> Answer:
        """Predict a table. Attributes of the caller's own come back as they were sent."""
        host = self._answering.host
        if not host.ready:
            raise Unavailable("the model is not ready; ask /ping, and repeat the call")
        plane = await self._answering.plane(only_name(host))
        asker = asker_of(plane, caller=call.caller, model=plane.endpoint)
        attributes = _attributes(call)
        answer = await self._answering.exchange(call, plane, partial(_read, call=call, asker=asker))
        if attributes:
            answer.headers = [*(answer.headers or []), (ATTRIBUTES, attributes)]
        return answer


def _read(body: bytes, *, call: Call, asker: Asker) -> Exchange:
    """Read an invocation; a list on its own is one of rows, and the id of the inference names them."""
    kind = call.header(b"content-type")
    if parse_media_type(kind or JSON)[0] == JSON and body.lstrip()[:1] == b"[":
        body = b'{"instances":%b}' % body
    asked = read_invocation(body, asker, content_type=kind, accept=call.header(b"accept"))
    inference_id = call.header(INFERENCE_ID)
    if not inference_id:
        return asked
    request = asked.request
    ids = request.prediction_ids or prediction_ids(inference_id, rows=row_count_of(request.rows))
    return msgspec.structs.replace(
        asked, request=msgspec.structs.replace(request, request_id=inference_id, prediction_ids=ids)
    )


def prediction_ids(inference_id: str, *, rows: int) -> Sequence[str]:
    """Return the ids of the predictions of an inference: its own, and with the number of the row behind it where there are several.

    >>> prediction_ids("a", rows=1), prediction_ids("a", rows=2)
    (['a'], ['a/0', 'a/1'])
    """
    return [inference_id] if rows == 1 else [f"{inference_id}/{row}" for row in range(rows)]


def _attributes(call: Call) -> bytes:
    """Return what the caller sent along.

    Raises:
        InvalidInput: it is longer than SageMaker allows, or no visible ASCII.
    """
    given = call.headers.get(ATTRIBUTES, b"")
    if len(given) <= LONGEST_ATTRIBUTES and all(0x20 <= byte < 0x7F for byte in given):  # noqa: PLR2004 -- visible ASCII
        return given
    raise InvalidInput(
        f"{ATTRIBUTES.decode()} takes up to {LONGEST_ATTRIBUTES} visible ASCII characters", field=ATTRIBUTES.decode()
    )


def container_port(environ: Mapping[str, str]) -> int:
    """Return the port that SageMaker wants.

    Raises:
        InvalidInput: what it says is none.
    """
    given = environ.get(PORT_VARIABLE)
    return PORT if given is None else whole_number(given, what=PORT_VARIABLE, least=1, most=LARGEST_PORT)


def refuse_what_the_contract_excludes(given: Sequence[str], models: Sequence[str], settings: Settings) -> None:
    """Refuse a container that would be more, or less, than SageMaker's.

    `given` are options of the command line that were given.

    Raises:
        Conflict: a key, another port, another protocol, or several models.
    """
    if given:
        raise Conflict(
            f"--sagemaker excludes {', '.join(given)}: the contract says which port is listened at ({PORT_VARIABLE}), and "
            "/ping and /invocations are answered to everybody, and nothing else",
            field="sagemaker",
        )
    if settings.serve_key:
        raise Conflict(
            "--sagemaker answers everybody, and a key is set (FLYBALL_SERVE_KEY); leave one of them out",
            field="serve_key",
        )
    if len(models) > 1:
        raise Conflict(f"--sagemaker serves one model, {len(models)} are named", field="models")
