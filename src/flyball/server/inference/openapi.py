"""An OpenAPI 3.1 document of an endpoint, made from the signature of its model: what this model wants, and what comes back."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import flyball
from flyball.server.inference.exchange import ARROW, CSV, JSON, PARQUET
from flyball.server.inference.openapi_shapes import schemas_of
from flyball.serving.entities import Signature

Node: TypeAlias = dict[str, Any]

_ERRORS: Final = {
    "400": "The request is wrong; the message names the column or the parameter.",
    "401": "No token, or one that is wrong, expired or revoked.",
    "403": "The token's owner may not ask this endpoint.",
    "404": "There is no such model or version here.",
    "413": "The body is too large, or has too many rows.",
    "415": "A content type, or an encoding of it, that is not read here.",
    "429": "Too much is waiting already; come again after Retry-After.",
    "501": "Understood, and not offered: a datatype that is not served.",
    "503": "No model is loaded yet, or it is away; come again after Retry-After.",
    "504": "The time that the request gave itself was over.",
}


def build_document(model: str, signature: Signature, *, version: int) -> Node:
    """Return the document of a model."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Endpoint of model {model}",
            "version": str(version),
            "description": f"Served by Flyball {flyball.__version__}. The shapes below are those of version {version}.",
        },
        "security": [{"token": []}],
        "paths": _paths(model),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas_of(signature),
        },
    }


def _paths(model: str) -> Node:
    infer = _operation(
        "infer", "Predict tensors (Open Inference Protocol, version 2)", _body("InferRequest"), "InferAnswer"
    )
    return {
        f"/v2/models/{model}/infer": {"post": infer},
        f"/v2/models/{model}": {"get": _read("model", "Describe the tensors of the model", "ModelMetadata")},
        f"/v2/models/{model}/ready": {"get": _probe("modelReady", "Tell whether the model can be asked")},
        "/invocations": {
            "post": _operation(
                "invocations", "Predict a table, as MLflow and SageMaker ask", _invocation(), "Predictions"
            )
        },
        "/v2/health/live": {"get": _probe("live", "Tell whether the process answers")},
        "/v2/health/ready": {"get": _probe("ready", "Tell whether requests can be sent")},
        "/ping": {"get": _probe("ping", "Tell whether requests can be sent")},
    }


def _operation(name: str, summary: str, body: Node, answer: str) -> Node:
    errors = {status: _response(said, "Error") for status, said in _ERRORS.items()}
    return {
        "operationId": name,
        "summary": summary,
        "requestBody": {"required": True, "content": body},
        "responses": {"200": _response("The predictions.", answer), **errors},
    }


def _read(name: str, summary: str, answer: str) -> Node:
    errors = {status: _response(_ERRORS[status], "Error") for status in ("401", "403", "404", "503")}
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": _response("The description.", answer), **errors},
    }


def _probe(name: str, summary: str) -> Node:
    return {
        "operationId": name,
        "summary": summary,
        "security": [],
        "responses": {"200": {"description": "Yes."}, "503": {"description": "Not yet."}},
    }


def _response(description: str, schema: str) -> Node:
    return {"description": description, "content": _body(schema)}


def _body(schema: str) -> Node:
    return {JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _invocation() -> Node:
    table = {"schema": {"type": "string", "description": "A line a row, with or without a line of names."}}
    binary = {"schema": {"type": "string", "format": "binary"}}
    return _body("Invocation") | {CSV: table, ARROW: binary, PARQUET: binary}
