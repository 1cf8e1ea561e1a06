"""The setting that says at which port an endpoint answers over gRPC, and the bytes that are no truth."""

from __future__ import annotations

import pytest

from flyball.kernel.errors import InvalidInput
from flyball.server.endpoint import grpc_ports
from flyball.server.inference.datatypes import DATATYPES, from_bytes


def test_each_endpoint_has_a_port_of_its_own() -> None:
    assert grpc_ports("") == {}
    assert grpc_ports("prices:8001, churn:8002,") == {"prices": 8001, "churn": 8002}


@pytest.mark.parametrize(
    "text", ["prices", "prices:", ":8001", "prices:x", "prices:0", "prices:70000", "a:1,a:2", "a:1,b:1"]
)
def test_what_is_no_port_of_an_endpoint_is_an_error(text: str) -> None:
    with pytest.raises(InvalidInput, match="grpc_ports"):
        grpc_ports(text)


def test_a_byte_that_is_no_truth_is_refused() -> None:
    assert from_bytes(b"\1\0", DATATYPES["BOOL"], count=2, tensor="open").tolist() == [True, False]
    with pytest.raises(InvalidInput, match="'open' is BOOL and holds a byte that is neither 0 nor 1"):
        from_bytes(b"\2\0", DATATYPES["BOOL"], count=2, tensor="open")
