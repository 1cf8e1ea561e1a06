"""The published document is what is served: fuzzed from the document, answered as it says."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import psycopg
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi import checks as openapi_checks
from tests.api.conftest import served, settings_for
from tests.protocol.serving import TrackingServer

from flyball.server.openapi import document

# `make fuzz MINUTES=30` searches longer, with other requests each time.
MINUTES = float(os.environ.get("FUZZ_MINUTES", "0"))
# Of each operation; about half of them valid by the document and half not.
EXAMPLES = 4 if MINUTES == 0 else int(MINUTES * 20)
CHECKS = [
    schemathesis.checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.negative_data_rejection,
    openapi_checks.unsupported_method,
]
SCHEMA = schemathesis.openapi.from_dict(document())


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def fuzzed(
    request: pytest.FixtureRequest, postgres_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TrackingServer]:
    home = tmp_path_factory.mktemp("fuzzed") / "home"
    with contextlib.ExitStack() as stack:
        url = f"sqlite:///{home / 'flyball.db'}"
        if request.param == "postgresql":
            with psycopg.connect(postgres_uri, autocommit=True) as connection:
                connection.execute("CREATE DATABASE flyball_fuzzed")
            url = postgres_uri.replace("/postgres?", "/flyball_fuzzed?").replace("postgresql:", "postgresql+psycopg:")
        server = stack.enter_context(served(settings_for(url, home)))
        yield server
        found = server.platform.audit.verify()
        assert found.intact, found.reason


@SCHEMA.parametrize()  # type: ignore[untyped-decorator]
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=MINUTES == 0,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_an_operation_answers_as_the_document_says(case: schemathesis.Case, fuzzed: TrackingServer) -> None:
    headers = {"authorization": f"Bearer {fuzzed.token}"}
    response = case.call(base_url=fuzzed.url, headers=headers)
    case.validate_response(response, checks=CHECKS)
