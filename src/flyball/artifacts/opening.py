"""Open the artifact store that the settings name, by the scheme of its URL."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

from flyball.artifacts.ports import BlobStore
from flyball.kernel.errors import InvalidInput, NotFound, Unsupported
from flyball.kernel.plugins import load_plugin
from flyball.kernel.settings import Settings

GROUP = "artifact_stores"
"""Entry points of this group are named after a URL scheme and lead to a function from Settings to BlobStore."""


def open_blob_store(settings: Settings) -> BlobStore:
    """Open the store; it is not touched before its first use.

    Raises:
        InvalidInput: the URL has no scheme, or is not what its store expects.
        Unsupported: no installed store has this scheme.
        MissingExtra: the library of this store is not installed.
    """
    url = settings.resolved_artifacts_url
    scheme = urlsplit(url).scheme
    if not scheme:
        raise InvalidInput(
            f"'{url}' is no URL; examples: file:///var/lib/flyball/artifacts, s3://bucket/prefix", field="artifacts_url"
        )
    try:
        opener = load_plugin(GROUP, scheme)
    except NotFound as error:
        raise Unsupported(f"artifacts cannot live at {scheme}://: {error.message}", field="artifacts_url") from error
    return cast("Callable[[Settings], BlobStore]", opener)(settings)
