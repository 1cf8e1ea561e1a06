"""All verbs of the model server: the tables of its protocols, one after the other."""

from __future__ import annotations

from flyball.server.inference.answering import Answering
from flyball.server.inference.documents import Documents
from flyball.server.inference.metrics import Metrics, RequestCounts
from flyball.server.inference.open_inference import OpenInference
from flyball.server.inference.routes import Route
from flyball.server.inference.scoring import Scoring


def all_routes(answering: Answering, counts: RequestCounts) -> list[Route]:
    """Return the table of the model server."""
    return [
        *OpenInference(answering).routes(),
        *Scoring(answering).routes(),
        *Documents(answering).routes(),
        *Metrics(answering, counts).routes(),
    ]
