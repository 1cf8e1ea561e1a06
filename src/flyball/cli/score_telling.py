"""What `flyball score` tells the server when all is scored: predictions for an endpoint's log, and what scored what."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import click

from flyball.cli.score_sources import InputHere, ModelHere
from flyball.client import Client
from flyball.client.paths import api
from flyball.wire.v1 import scorings

if TYPE_CHECKING:
    from flyball.serving.score_job import Done

# What the server lists of a job's files; their number is told besides, and all of them are covered by the job's digest.
MOST_FILES, LONGEST_NAME = 100, 1_024


def tell(done: Done, model: ModelHere, source: InputHere) -> None:
    """Ship what was captured, then have the job recorded. Both may be repeated: what is known already changes nothing."""
    if not model.name:
        return
    client = Client()
    if done.manifest.capture is not None:
        _ship(client, done, done.manifest.capture.endpoint, version=model.version)
    files = done.manifest.files
    body = scorings.NewScoring(
        job=done.manifest.digest,
        model_digest=model.digest,
        rows=done.rows,
        output_digest=done.output_digest,
        files=[scorings.ScoredFile(name=one.path[-LONGEST_NAME:], digest=one.digest) for one in files[:MOST_FILES]],
        file_count=len(files),
        dataset=source.dataset or None,
    )
    made = client.call(
        "POST",
        api("models", model.name, str(model.version), "scorings"),
        body=body,
        response=scorings.ScoringInfo,
    )
    click.echo(f"recorded as {made.ref}")


def _ship(client: Client, done: Done, endpoint: str, *, version: int) -> None:
    """Send what was captured, part by part; what has arrived is removed here."""
    from flyball.serving.score_capture import captured_files, slices

    path = f"{api('endpoints', endpoint, 'predictions')}?{urlencode({'version': version})}"
    rows = duplicates = not_drawn = 0
    for file in captured_files(done.folder):
        for content in slices(file):
            kept = client.send("POST", path, content, response=scorings.Captured)
            rows, duplicates, not_drawn = rows + kept.rows, duplicates + kept.duplicates, not_drawn + kept.not_drawn
        file.unlink()
    known = f", {duplicates} were there" if duplicates else ""
    drawn = f", {not_drawn} not drawn" if not_drawn else ""
    click.echo(f"{rows} predictions in the log of {endpoint}{known}{drawn}")
