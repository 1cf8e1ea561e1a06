from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest
import urllib3
from tests.protocol.serving import TrackingServer

from flyball.server.ui.routes import PAGES

SCRIPTS = [name for name, kind in PAGES.items() if kind == "text/javascript"]
PATHS = ["/", *(f"/ui/static/{name}" for name in PAGES)]


class Parts(HTMLParser):
    """Collect what a page loads, and what it would run without loading."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.loaded += [value for name, value in attrs if name in {"src", "href"} and value]
        self.inline += [name for name in named if name.startswith("on") or name == "style"]
        if tag == "style" or (tag == "script" and "src" not in named):
            self.inline.append(tag)


def get(server: TrackingServer, path: str) -> urllib3.BaseHTTPResponse:
    return urllib3.request("GET", server.url + path, retries=False, timeout=60)


def policy_of(answer: urllib3.BaseHTTPResponse) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in answer.headers["content-security-policy"].split(";"))
    return {name: value for name, _, value in parts if name}


@pytest.mark.parametrize("path", PATHS)
def test_pages_come_with_headers_that_let_only_their_own_files_run(shared_server: TrackingServer, path: str) -> None:
    answer = get(shared_server, path)
    policy = policy_of(answer)
    assert answer.status == 200
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["content-type"].split(";")[0] == PAGES.get(path.rsplit("/", 1)[1], "text/html")


@pytest.mark.parametrize("path", ["/health", "/api/v1/me", "/api/2.0/mlflow/experiments/search", "/nowhere"])
def test_everything_else_is_not_taken_for_a_page(shared_server: TrackingServer, path: str) -> None:
    answer = get(shared_server, path)
    assert policy_of(answer)["default-src"] == "'none'"
    assert "sandbox" in policy_of(answer)
    assert (answer.headers["x-content-type-options"], answer.headers["cache-control"]) == ("nosniff", "no-store")


def test_the_page_has_no_inline_script_or_style_and_loads_only_what_is_served(shared_server: TrackingServer) -> None:
    found = Parts()
    found.feed(get(shared_server, "/").data.decode())
    assert found.inline == []
    assert len(found.loaded) >= 3
    assert [path for path in found.loaded if get(shared_server, path).status != 200] == []


def test_scripts_make_text_and_never_markup_or_code_of_data(shared_server: TrackingServer) -> None:
    for name in SCRIPTS:
        script = get(shared_server, f"/ui/static/{name}").data.decode()
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\(|new Function|\.style\b", script
        )
        imported = re.findall(r'from "\./([^"]+)"', script)
        assert set(imported) <= set(PAGES)


def test_every_element_that_the_script_looks_for_is_in_the_page(shared_server: TrackingServer) -> None:
    page = get(shared_server, "/").data.decode()
    script = get(shared_server, "/ui/static/app.js").data.decode()
    wanted = set(re.findall(r'(?:\$|show)\("([a-z-]+)"', script))
    assert len(wanted) >= 8
    assert wanted <= set(re.findall(r'id="([a-z-]+)"', page))


def test_every_path_that_the_script_asks_for_is_served(shared_server: TrackingServer) -> None:
    script = "".join(get(shared_server, f"/ui/static/{name}").data.decode() for name in SCRIPTS)
    asked = re.findall(r'api\("(?:GET|POST)", [`"]([^`"]+)[`"]', script)
    assert len(asked) >= 6
    for path in asked:
        plain = re.sub(r"\$\{[^}]*\}", "x", path).partition("?")[0]
        method = "POST" if plain.endswith(("approve", "reject")) else "GET"
        assert shared_server.request(method, f"/api/v1/{plain}").json().get("error", {}).get("field") != "path", path


def test_every_file_of_the_page_is_served() -> None:
    kept = {entry.name for entry in files("flyball.server.ui").joinpath("static").iterdir()}
    assert kept == set(PAGES)


@pytest.mark.parametrize(
    "name", ["..%2F..%2Fhome.py", "%2e%2e%2froutes.py", "x.js", "%00", "app.js%00", "index.html%2f"]
)
def test_no_other_file_is_served(shared_server: TrackingServer, name: str) -> None:
    assert get(shared_server, f"/ui/static/{name}").status in {400, 404}
