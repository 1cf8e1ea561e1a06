"""What a model server says of itself to people and tools: the OpenAPI document of its model, and a page that shows it."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

import msgspec

from flyball.governance.permissions import Permission
from flyball.server.inference.answering import Answering
from flyball.server.inference.http import Answer, Call, Headers
from flyball.server.inference.openapi import build_document
from flyball.server.inference.routes import Route, get
from flyball.server.routing import PUBLIC
from flyball.serving.host import only_name

HTML = b"text/html; charset=utf-8"


class Documents:
    """The verbs that describe."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering

    def routes(self) -> list[Route]:
        """Return the table. The page itself says nothing about the model; it asks with the token that is typed into it."""
        infer = Permission.ENDPOINTS_INFER
        return [
            get("/openapi.json", infer, self.document, "Describe the endpoint as OpenAPI"),
            get("/v2/models/{name}/openapi.json", infer, self.document, "Describe a model as OpenAPI"),
            get("/docs", PUBLIC, self.page, "Show the description"),
        ]

    async def document(self, call: Call) -> Answer:
        """Describe the endpoint, or a model by its name, as OpenAPI."""
        name = call.path.get("name") or only_name(self._answering.host)
        plane = await self._answering.plane(name)
        page = build_document(name, plane.signature, version=plane.routing.champion)
        return Answer(msgspec.json.encode(page))

    async def page(self, _call: Call) -> Answer:
        """Show the description."""
        body, headers = _page()
        return Answer(body, content_type=HTML, headers=headers)


@cache
def _page() -> tuple[bytes, Headers]:
    """Return the page, and the policy that lets nothing run in it but its own script."""
    body = files("flyball.server.inference").joinpath("page.html").read_bytes()
    script = body.partition(b"<script>")[2].partition(b"</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script).digest())
    policy = b"default-src 'none'; script-src 'sha256-%b'; style-src 'unsafe-inline'; connect-src 'self'; " % digest
    policy += b"form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    return body, [(b"content-security-policy", policy), (b"x-content-type-options", b"nosniff")]
