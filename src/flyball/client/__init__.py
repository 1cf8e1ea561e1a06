"""The Python SDK: Flyball over HTTP."""

from flyball.client.client import Client

__all__ = ["Client"]
