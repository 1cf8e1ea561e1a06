"""An endpoint's OpenAPI document: valid, made from the signature, true to what is answered; and the page that shows it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from schemathesis.specs.openapi import checks as openapi_checks
from tests.api.test_inference import ListCapture, Server, error_of, running
from tests.api.test_inference_protocols import ARROW, COLUMNS, Echo, columns, invoke, stream_of

from flyball.kernel.clock import ManualClock
from flyball.server.inference.openapi import build_document
from flyball.server.inference.openapi_shapes import example_infer, example_row
from flyball.serving.entities import ColumnKind, ColumnSpec, Signature, TensorSpec
from flyball.serving.plane import DataPlane, LoadedVersion, Routing
from flyball.serving.ports import Choice, Pick
from flyball.serving.served_model import ServedModel

KINDS = [kind for kind in ColumnKind if kind is not ColumnKind.TENSOR]
EVERY_KIND = Signature(
    inputs=(
        *(ColumnSpec(name=f"a {kind.value}", kind=kind, required=kind is not ColumnKind.DOUBLE) for kind in KINDS),
        ColumnSpec(name="image", kind=ColumnKind.TENSOR, tensor=TensorSpec(dtype="float32", shape=(2, -1))),
    ),
    output=ColumnKind.STRING,
)
NAMELESS = Signature(inputs=(ColumnSpec(name="x0", kind=ColumnKind.DOUBLE),), named=False)
# Bodies that are no JSON are tried by hand, see below.
DOCUMENT = build_document("shop", COLUMNS, version=1)
DOCUMENT["paths"]["/invocations"]["post"]["requestBody"]["content"] = {
    "application/json": DOCUMENT["paths"]["/invocations"]["post"]["requestBody"]["content"]["application/json"]
}
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
CHECKS = [
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    plane = DataPlane("shop", "prices", capture=ListCapture(), clock=ManualClock())
    always = Choice(answer=Pick(version=1, role="champion"))
    version = LoadedVersion(version=1, digest="1" * 64, model=ServedModel(Echo(), COLUMNS))
    plane.switch(Routing(generation=1, champion=1, router=lambda _key: always, versions={1: version}))
    with running(plane, ListCapture()) as server:
        yield server


@pytest.mark.parametrize("signature", [EVERY_KIND, NAMELESS, COLUMNS])
def test_the_document_is_valid_and_its_examples_are_taken(signature: Signature) -> None:
    page = build_document("shop", signature, version=3)
    validate(page)
    schemas = page["components"]["schemas"]

    def check(name: str, value: Any) -> None:
        root = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
        Draft202012Validator(root).validate(value)

    check("Row", example_row(signature))
    check("InferRequest", example_infer(signature.inputs))


def test_the_example_that_a_document_gives_is_answered(server: Server) -> None:
    page = server.get("/openapi.json").json()
    validate(page)
    assert page["components"]["schemas"]["Row"]["properties"].keys() == {"price", "hour", "zip"}
    schemas = page["components"]["schemas"]
    assert server.post("/v2/models/shop/infer", schemas["InferRequest"]["examples"][0]).status == 200
    assert server.post("/invocations", schemas["Invocation"]["examples"][0]).status == 200
    assert server.get("/v2/models/prices/openapi.json").json()["info"]["title"] == "Endpoint of model prices"
    assert server.get("/openapi.json", token=None).status == 401
    assert server.get("/v2/models/other/openapi.json").status == 404


def test_the_page_runs_its_own_script_and_nothing_else(server: Server) -> None:
    response = server.get("/docs", token=None)
    assert (response.status, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    scripts = re.findall(rb"<script>(.*?)</script>", response.data, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in scripts]
    assert f"script-src 'sha256-{digests[0]}'" in response.headers["content-security-policy"]
    assert len(scripts) == 1
    assert b"http:" not in response.data
    assert b"https:" not in response.data


@SCHEMA.parametrize()  # type: ignore[untyped-decorator]
@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_an_operation_answers_as_the_document_says(case: schemathesis.Case, server: Server) -> None:
    response = case.call(base_url=server.url, headers={"authorization": "Bearer owner"})
    case.validate_response(response, checks=CHECKS)
    assert response.status_code not in {500, 502, 503}


def test_a_name_that_is_no_text_is_refused(server: Server) -> None:
    body = stream_of(columns())
    response = invoke(server, body.replace(b"price", b"pri\xffe"), ARROW)
    assert (response.status, "no Arrow stream" in error_of(response)) == (400, True)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(place=st.integers(0, 10**6), value=st.integers(0, 255), cut=st.integers(0, 40))
def test_a_bent_arrow_stream_is_answered_and_breaks_nothing(place: int, value: int, cut: int, server: Server) -> None:
    body = bytearray(stream_of(columns(zip=pa.array(["001", "é"]).dictionary_encode())))
    body[place % len(body)] = value
    response = invoke(server, bytes(body[: len(body) - cut]), ARROW)
    assert response.status in {200, 400, 413, 501}, response.data
