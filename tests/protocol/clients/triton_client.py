"""Ask the model server with Triton's client, over HTTP and over gRPC; prints what was answered as JSON. Runs in its own environment."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http
from tritonclient.utils import InferenceServerException

WAIT_S = 60.0
Asked = Callable[[], dict[str, dict[str, str]]]


def columns(kit: Any, table: dict[str, list[float]], **options: Any) -> list[Any]:
    inputs = []
    for name, values in table.items():
        array = np.array(values, dtype=np.float64)
        one = kit.InferInput(name, list(array.shape), "FP64")
        one.set_data_from_numpy(array, **options)
        inputs.append(one)
    return inputs


def matrix(kit: Any, table: dict[str, list[float]], dtype: str, name: str, **options: Any) -> list[Any]:
    array = np.array(list(table.values()), dtype=dtype).T.copy()
    one = kit.InferInput("input-0", list(array.shape), name)
    one.set_data_from_numpy(array, **options)
    return [one]


def shop(kit: Any, **options: Any) -> list[Any]:
    arrays = {
        "price": ("FP64", np.array([0.5, 1.5])),
        "hour": ("INT64", np.array([3, 4])),
        "zip": ("BYTES", np.array([b"001", "é".encode()], dtype=object)),
    }
    inputs = []
    for name, (datatype, values) in arrays.items():
        one = kit.InferInput(name, [2], datatype)
        one.set_data_from_numpy(values, **options)
        inputs.append(one)
    return inputs


def said(result: Any, name: str = "prediction") -> list[Any]:
    values = result.as_numpy(name).tolist()
    return [value.decode() if isinstance(value, bytes) else value for value in values]


def refusal(ask: Any, *arguments: Any, **options: Any) -> list[str]:
    try:
        ask(*arguments, **options)
    except InferenceServerException as error:
        return [str(error.status()), str(error.message())]
    return ["", "it was answered"]


def presenting(token: str) -> Asked:
    """The client writes into the headers that it is given, so each request gets its own."""
    return lambda: {"headers": {"authorization": f"Bearer {token}"}}


def questions(client: Any, kit: Any, task: dict[str, Any], asked: Asked) -> dict[str, Any]:
    """What both clients can ask in the same words; `asked` presents the token."""
    table = task["table"]

    def infer(inputs: list[Any], model: str = "cancer", **options: Any) -> Any:
        return client.infer(model, inputs, **asked(), **options)

    outputs = [kit.InferRequestedOutput("score"), kit.InferRequestedOutput("prediction")]
    chosen = infer(columns(kit, table), outputs=outputs, model_version="1", request_id="r-1")
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": [client.is_model_ready("cancer"), client.is_model_ready("cancer", "1")],
        "columns": said(infer(columns(kit, table))),
        "matrix": said(infer(matrix(kit, table, "<f8", "FP64"))),
        "matrix32": said(infer(matrix(kit, table, "<f4", "FP32"))),
        "texts": said(infer(shop(kit), model="shop")),
        "scores": said(chosen, "score"),
        "chosen": said(chosen),
        "parameters": said(infer(shop(kit), model="shop", parameters={"sticky_key": "k", "event_time_ms": 7})),
        "no_model": refusal(client.infer, "other", columns(kit, table), **asked()),
        "no_column": refusal(client.infer, "cancer", columns(kit, table)[1:], **asked()),
        "no_token": refusal(client.infer, "cancer", columns(kit, table)),
        "priority": refusal(client.infer, "cancer", columns(kit, table), priority=1, **asked()),
        "late": refusal(client.infer, "cancer", columns(kit, table), timeout=1, **asked()),
        "load": refusal(client.load_model, "cancer", **asked()),
        "unload": refusal(client.unload_model, "cancer", **asked()),
    }


def by_http(address: str, token: str, task: dict[str, Any]) -> dict[str, Any]:
    asked = presenting(token)
    table = task["table"]
    patience = {"network_timeout": WAIT_S, "connection_timeout": WAIT_S}
    with over_http.InferenceServerClient(address, concurrency=5, **patience) as client:
        plain = [over_http.InferRequestedOutput("prediction", binary_data=False)]
        waiting = [client.async_infer("cancer", columns(over_http, table), **asked()) for _ in range(5)]
        together = [said(one.get_result(timeout=WAIT_S)) for one in waiting]
        return questions(client, over_http, task, asked) | {
            "server": client.get_server_metadata(**asked())["extensions"],
            "model": client.get_model_metadata("cancer", "1", **asked())["inputs"][0],
            "index": client.get_model_repository_index(**asked()),
            "json": said(
                client.infer("cancer", columns(over_http, table, binary_data=False), outputs=plain, **asked())
            ),
            "json_texts": said(client.infer("shop", shop(over_http, binary_data=False), outputs=plain, **asked())),
            "folded": [
                said(
                    client.infer(
                        "cancer",
                        columns(over_http, table),
                        request_compression_algorithm=how,
                        response_compression_algorithm=how,
                        **asked(),
                    )
                )
                for how in ("gzip", "deflate")
            ],
            "async": together,
        }


def by_grpc(address: str, token: str, task: dict[str, Any]) -> dict[str, Any]:
    asked = presenting(token)
    with over_grpc.InferenceServerClient(address) as client:
        return questions(client, over_grpc, task, asked) | {
            "server": client.get_server_metadata(as_json=True)["extensions"],
            "model": client.get_model_metadata("cancer", "1", as_json=True, **asked())["inputs"][0],
            "index": client.get_model_repository_index(as_json=True, **asked())["models"],
            "folded": [
                said(client.infer("cancer", columns(over_grpc, task["table"]), compression_algorithm=how, **asked()))
                for how in ("gzip", "deflate")
            ],
        }


if __name__ == "__main__":
    task = json.load(sys.stdin)
    asking = {"http": by_http, "grpc": by_grpc}[sys.argv[1]]
    sys.stdout.write(json.dumps(asking(task["address"], task["token"], task)))
