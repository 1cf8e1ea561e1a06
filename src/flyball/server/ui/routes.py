"""Serve the pages, and open a session from a one-time link."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from starlette.responses import RedirectResponse, Response

from flyball.kernel.errors import NotFound
from flyball.server.authentication import SESSION_COOKIE
from flyball.server.routing import PUBLIC, Call, Route
from flyball.wire.v1 import Body

SESSION_S = 12 * 3600
# The page's own files and nothing else: no script in the text, no frame around it, nothing from elsewhere.
SECURITY: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",  # asked for again each time, so that the pages are those of the running release
}
# Only these names are served; nothing of the request becomes part of a path.
PAGES: Final = {
    "index.html": "text/html",
    "app.js": "text/javascript",
    "api.js": "text/javascript",
    "charts.js": "text/javascript",
    "elements.js": "text/javascript",
    "monitor.js": "text/javascript",
    "style.css": "text/css",
    "icon.svg": "image/svg+xml",
}


class LoginQuery(Body):
    """The code of a one-time link."""

    code: str


def login(call: Call[LoginQuery]) -> Response:
    """Use the link up, and keep the session in a cookie that scripts and other sites cannot reach."""
    secret = call.platform.access.redeem(call.body.code)
    answer = RedirectResponse("/", status_code=303, headers=SECURITY)
    secure = call.request.url.scheme == "https"
    answer.set_cookie(SESSION_COOKIE, secret, max_age=SESSION_S, httponly=True, samesite="strict", secure=secure)
    return answer


def index(_call: Call[None]) -> Response:
    """Serve the page; without a session its requests are answered 401 and it says how to get one."""
    return _page("index.html")


def static(call: Call[None]) -> Response:
    """Serve a file of the page."""
    return _page(call.path["name"])


def _page(name: str) -> Response:
    if name not in PAGES:
        raise NotFound(f"no page '{name[:80]}'", field="name")
    content = files("flyball.server.ui").joinpath("static").joinpath(name).read_bytes()
    return Response(content, media_type=PAGES[name], headers=SECURITY)


ROUTES = (
    Route(method="GET", path="/", permission=PUBLIC, handler=index, summary="The page"),
    Route(method="GET", path="/ui/static/{name}", permission=PUBLIC, handler=static, summary="A file of the page"),
    Route(
        method="GET",
        path="/ui/login",
        permission=PUBLIC,
        handler=login,
        request=LoginQuery,
        summary="Open a session from a one-time link",
    ),
)
