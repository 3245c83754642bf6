"""What the tests of the API share."""

from concurrent.futures import Future

import pytest


@pytest.fixture
def world(db: None) -> dict[str, str]:
    """One of everything, so that generated requests meet something."""
    from tests.support.fuzz import make_world  # it takes its time to load

    return make_world()


@pytest.fixture
def nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing runs executions here, and there is nobody to call."""
    over: Future[bool] = Future()
    over.set_result(False)
    monkeypatch.setattr("workflows.services.when_ended", lambda execution_id, seconds: over)
    monkeypatch.setattr("registry.api.discovery.LONGEST_UNASKED", 0)
    monkeypatch.setattr("registry.api.discovery.LONGEST_WATCH", 0)
