"""Ask the model server with KServe's client, over HTTP and over gRPC; prints what was answered as JSON. Runs in its own environment."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import grpc
import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import RequestedOutput


def request(model: str, inputs: list[InferInput], **options: Any) -> InferRequest:
    return InferRequest(model_name=model, infer_inputs=inputs, request_id="r-1", **options)


def columns(table: dict[str, list[float]], *, binary: bool | None) -> list[InferInput]:
    """Values as a list, or set from numpy: in the JSON (or the typed fields) or as bytes."""
    inputs = []
    for name, values in table.items():
        one = InferInput(name, [len(values)], "FP64", data=values if binary is None else None)
        if binary is not None:
            one.set_data_from_numpy(np.array(values, dtype=np.float64), binary_data=binary)
        inputs.append(one)
    return inputs


def shop() -> list[InferInput]:
    return [
        InferInput("price", [2], "FP64", data=[0.5, 1.5]),
        InferInput("hour", [2], "INT64", data=[3, 4]),
        InferInput("zip", [2], "BYTES", data=["001", "é"]),
    ]


def said(answer: Any, name: str = "prediction") -> list[Any]:
    values = answer.get_output_by_name(name).as_numpy().tolist()
    return [value.decode() if isinstance(value, bytes) else value for value in values]


async def by_http(address: str, token: str, table: dict[str, list[float]]) -> dict[str, Any]:
    headers, url = {"authorization": f"Bearer {token}"}, f"http://{address}"
    client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=60))

    async def infer(asked: InferRequest) -> Any:
        return await client.infer(url, asked, model_name=asked.model_name, headers=dict(headers))

    async def refusal(asked: InferRequest, **options: Any) -> list[Any]:
        try:
            await client.infer(url, asked, model_name=asked.model_name, **options)
        except httpx.HTTPStatusError as error:
            return [error.response.status_code, str(error)]
        return [200, "it was answered"]

    score = [RequestedOutput("score", {"binary_data": True})]
    return {
        "live": await client.is_server_live(url),
        "ready": await client.is_server_ready(url),
        "model_ready": await client.is_model_ready(url, "cancer"),
        "list": said(await infer(request("cancer", columns(table, binary=None)))),
        "json": said(await infer(request("cancer", columns(table, binary=False)))),
        "bytes": said(await infer(request("cancer", columns(table, binary=True)))),
        "all_bytes": said(
            await infer(request("cancer", columns(table, binary=True), parameters={"binary_data_output": True}))
        ),
        "scores": said(await infer(request("cancer", columns(table, binary=None), request_outputs=score)), "score"),
        "texts": said(await infer(request("shop", shop()))),
        "no_model": await refusal(request("other", shop()), headers=dict(headers)),
        "no_column": await refusal(request("shop", shop()[1:]), headers=dict(headers)),
        "no_token": await refusal(request("shop", shop())),
    }


async def by_grpc(address: str, token: str, table: dict[str, list[float]]) -> dict[str, Any]:
    headers = (("authorization", f"Bearer {token}"),)
    async with InferenceGRPCClient(address) as client:

        async def infer(asked: InferRequest) -> Any:
            return await client.infer(asked, headers=headers)

        async def refusal(asked: InferRequest, **options: Any) -> list[Any]:
            try:
                await client.infer(asked, **options)
            except grpc.RpcError as error:
                return [error.code().name, error.details()]
            return ["OK", "it was answered"]

        score = [RequestedOutput("score")]
        return {
            "live": await client.is_server_live(),
            "ready": await client.is_server_ready(),
            "model_ready": await client.is_model_ready("cancer"),
            "list": said(await infer(request("cancer", columns(table, binary=None)))),
            "json": said(await infer(request("cancer", columns(table, binary=False)))),
            "bytes": said(await infer(request("cancer", columns(table, binary=True)))),
            "scores": said(await infer(request("cancer", columns(table, binary=None), request_outputs=score)), "score"),
            "texts": said(await infer(request("shop", shop()))),
            "no_model": await refusal(request("other", shop()), headers=headers),
            "no_column": await refusal(request("shop", shop()[1:]), headers=headers),
            "no_token": await refusal(request("shop", shop())),
        }


if __name__ == "__main__":
    task = json.load(sys.stdin)
    asking = {"http": by_http, "grpc": by_grpc}[sys.argv[1]]
    sys.stdout.write(json.dumps(asyncio.run(asking(task["address"], task["token"], task["table"]))))
