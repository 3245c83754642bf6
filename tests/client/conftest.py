"""No test takes its hub from the environment of whoever runs it."""

import pytest


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SERVICE_INTEGRATION_URL", "SERVICE_INTEGRATION_API_KEY"):
        monkeypatch.delenv(name, raising=False)
