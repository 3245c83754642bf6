"""What the tests of the API share."""

from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections


@pytest.fixture
def world(db: None) -> dict[str, str]:
    """One of everything, so that generated requests meet something."""
    from tests.support.fuzz import make_world  # it takes its time to load

    return make_world()


@pytest.fixture
def transaction_stays() -> Iterator[None]:
    """Requests through WSGI are answered in the transaction of the test, not on a new line."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing runs executions here, and there is nobody to call."""
    over: Future[bool] = Future()
    over.set_result(False)
    monkeypatch.setattr("workflows.services.when_ended", lambda execution_id, seconds: over)
    monkeypatch.setattr("registry.api.discovery.LONGEST_UNASKED", 0)
    monkeypatch.setattr("registry.api.discovery.LONGEST_WATCH", 0)
