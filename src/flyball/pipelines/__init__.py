"""Pipelines: plain Python functions that become cached steps in processes of their own.

This package is what user code imports, so it brings in the two decorators and nothing heavy.
"""

from flyball.pipelines.declaration import pipeline, step

__all__ = ["pipeline", "step"]
