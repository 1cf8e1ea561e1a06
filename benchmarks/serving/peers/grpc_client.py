"""Ask a model over gRPC with the official library and MLServer's own messages, whoever serves it.

Run in MLServer's environment as `python grpc_client.py PORT MODEL ROWS.npy FOLDER [AUTHORIZATION]`: writes the answer as `answer.npy`, the
message that asked as `message` (with the five bytes that gRPC puts before it), and prints how long the answer's message is.
"""

from __future__ import annotations

import sys
from pathlib import Path

import grpc
import numpy as np
from mlserver.grpc.dataplane_pb2 import ModelInferRequest, ModelInferResponse
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub

DATATYPES = {"float64": "FP64", "float32": "FP32"}
TYPES = {"INT64": ("<i8", "int64_contents"), "FP64": ("<f8", "fp64_contents"), "FP32": ("<f4", "fp32_contents")}
TYPES["INT32"] = ("<i4", "int_contents")
TIMEOUT_S = 60


def main(port: str, model: str, rows_file: str, folder: str, authorization: str = "") -> None:
    """Ask once."""
    rows = np.load(rows_file)
    asked = ModelInferRequest(model_name=model)
    asked.inputs.add(name="input", datatype=DATATYPES[str(rows.dtype)], shape=rows.shape)
    asked.raw_input_contents.append(rows.tobytes())
    message = asked.SerializeToString()
    (Path(folder) / "message").write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
    known = [("authorization", authorization)] if authorization else None
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = GRPCInferenceServiceStub(channel).ModelInfer(asked, timeout=TIMEOUT_S, metadata=known)
    np.save(Path(folder) / "answer.npy", _array(answer))
    print(len(answer.SerializeToString()))


def _array(answer: ModelInferResponse) -> np.ndarray:
    output = answer.outputs[0]
    kept_as, contents = TYPES[output.datatype]
    if answer.raw_output_contents:
        return np.frombuffer(answer.raw_output_contents[0], dtype=kept_as).reshape(output.shape)
    return np.array(getattr(output.contents, contents), dtype=kept_as).reshape(output.shape)


if __name__ == "__main__":
    main(*sys.argv[1:])
