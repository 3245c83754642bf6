"""The client of a process is closed when the process ends, and made again when it is needed."""

from __future__ import annotations

import gc
import warnings

import pytest

from registry.calls.blocking_client import close_shared_client
from registry.calls.client import ServiceClient
from registry.tasks import close_client
from tests.support.connections import WebServer, call_now, make_connection
from tests.support.credentials import make_credential, serving


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[ServiceClient]:
    """The clients that were closed."""
    clients, close = [], ServiceClient.close

    async def noted(client: ServiceClient) -> None:
        await close(client)
        clients.append(client)

    monkeypatch.setattr(ServiceClient, "close", noted)
    return clients


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_ends_leaves_no_session_open_and_records_uses(
    closed: list[ServiceClient],
) -> None:
    web = WebServer()
    with serving(web.answer) as base, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        login = make_credential("BEARER_TOKEN", allowed_origins=[base])
        row = make_connection(base_url=base, credential=login.name)
        call_now(row, {})
        close_client()
        assert len(closed) == 1
        login.refresh_from_db()
        assert login.last_used_at is not None
        call_now(row, {})  # what ends last may still call
        close_shared_client()
        assert len(closed) == 2
        closed.clear()
        gc.collect()
    assert len(web.requests) == 2
    assert not [w for w in caught if "Unclosed" in str(w.message)]


def test_closing_what_was_never_made_does_nothing(closed: list[ServiceClient]) -> None:
    close_shared_client()
    closed.clear()
    close_shared_client()
    assert closed == []
