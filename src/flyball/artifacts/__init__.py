"""Bytes by content, and names that point at them: run artifacts, model files, dataset files, evidence."""

from flyball.artifacts.entities import Blob, Entry
from flyball.artifacts.opening import open_blob_store
from flyball.artifacts.paths import clean_path
from flyball.artifacts.ports import BlobStore, NameStore
from flyball.artifacts.service import Artifacts

__all__ = ["Artifacts", "Blob", "BlobStore", "Entry", "NameStore", "clean_path", "open_blob_store"]
