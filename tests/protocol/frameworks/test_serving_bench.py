"""The serving benchmark, with ours alone: the server starts, every encoding is answered as the model itself answers, a flood is counted."""

from __future__ import annotations

from pathlib import Path

from benchmarks.serving import asking, models
from benchmarks.serving.encodings import open_inference
from benchmarks.serving.flood import flood
from benchmarks.serving.servers import MODEL, flyball

NAME = "logistic-regression"
REQUESTS = 20


def test_ours_answers_in_every_encoding_that_is_measured(tmp_path: Path) -> None:
    models.main(tmp_path / "models", [NAME])
    subject = asking.read_subject(tmp_path / "models", NAME)
    home = tmp_path / "home"
    home.mkdir()
    with flyball(subject.folder, home) as server:
        asking.check(server, subject)
        for encoding in server.many:
            asking.check_many(server, encoding, subject)
        request = asking.request_of(server, open_inference(MODEL), asking.single_rows(subject))
        seen = flood(server.port, request, rate=REQUESTS, seconds=1, patience_s=60)
        assert (seen.statuses, seen.unanswered) == ({200: REQUESTS}, 0)
        assert server.started_s > 0
        assert server.memory_mb() > 10
    assert server.process.poll() is not None
