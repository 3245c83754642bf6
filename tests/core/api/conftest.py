"""What the tests of the API share."""

import pytest


@pytest.fixture
def world(db: None) -> dict[str, str]:
    """One of everything, so that generated requests meet something."""
    from tests.support.fuzz import make_world  # it takes its time to load

    return make_world()


@pytest.fixture
def nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing runs executions here, and there is nobody to call."""
    monkeypatch.setattr("workflows.services.wait_for_end", lambda execution, seconds: execution)
    monkeypatch.setattr("registry.api.discovery.LONGEST_UNASKED", 0)
    monkeypatch.setattr("registry.api.discovery.time.sleep", lambda seconds: None)
    monkeypatch.setattr("registry.api.discovery.LONGEST_WATCH", 0)
