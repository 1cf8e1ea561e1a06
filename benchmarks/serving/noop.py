"""The least that an HTTP server can do for a POST: read the body, answer what a prediction looks like. `python noop.py PORT [at-once]`."""

from __future__ import annotations

import socket
import sys
from typing import Any

from flyball.server.inference.listening import listen_until_signal

ANSWER = (
    b'{"model_name":"bench","model_version":"1","id":"0190f0c1-0000-7000-8000-000000000000","parameters":{"prediction_ids":'
    b'["0190f0c1-0000-7000-8000-000000000000"],"role":"champion"},"outputs":[{"name":"prediction","shape":[1],'
    b'"datatype":"INT64","data":[1]},{"name":"score","shape":[1],"datatype":"FP64","data":[0.9876543210987654]}]}'
)
HEAD = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))],
}
CONTENT_TYPE = ((b"content-type", b"application/json"),)
BODY = {"type": "http.response.body", "body": ANSWER}


async def answer(_scope: Any, receive: Any, send: Any) -> None:
    """Answer."""
    while (await receive()).get("more_body"):
        pass
    await send(HEAD)
    await send(BODY)


class AtOnce:
    """The same, which takes every request that has arrived whole without a task, as the model server does."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer what has not."""
        await answer(scope, receive, send)

    def quick(self, _scope: Any, _body: bytes, reply: Any) -> bool:
        """Answer at once."""
        reply.send(200, CONTENT_TYPE, ANSWER)
        return True


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
        listen_until_signal(AtOnce() if "at-once" in sys.argv else answer, listener)
