"""The runners keep the promises of their port; the one for Ray is held to them by `make test-ray`."""

from __future__ import annotations

import pytest

from flyball.kernel.errors import NotFound
from flyball.kernel.runners import open_runner
from flyball.kernel.runners.conformance import PartRunnerConformance
from flyball.kernel.runners.local import LocalRunner


class TestLocalRunner(PartRunnerConformance):
    @pytest.fixture
    def runner(self) -> LocalRunner:
        return LocalRunner()


def test_a_runner_is_opened_by_its_name() -> None:
    assert isinstance(open_runner("local"), LocalRunner)
    with pytest.raises(NotFound, match="installed: local"):
        open_runner("nobody")
