"""The client of a process is closed when the process ends, and made again when it is needed."""

from __future__ import annotations

import gc
import warnings

import pytest

from registry.calls import blocking_client
from registry.calls.blocking_client import close_shared_client
from registry.tasks import close_client
from tests.support.connections import WebServer, call_now, make_connection
from tests.support.credentials import make_credential, serving


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_ends_leaves_no_session_open_and_records_uses() -> None:
    web = WebServer()
    with serving(web.answer) as base:
        login = make_credential("BEARER_TOKEN", allowed_origins=[base])
        row = make_connection(base_url=base, credential=login.name)
        call_now(row, {})
        session = blocking_client._shared_client()._transport._session
        assert session is not None
        close_client()
        assert session.closed
        login.refresh_from_db()
        assert login.last_used_at is not None
        call_now(row, {})  # what ends last may still call
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            close_shared_client()
            del session
            gc.collect()
    assert len(web.requests) == 2
    assert not [w for w in said if "Unclosed" in str(w.message)]


def test_closing_what_was_never_made_does_nothing() -> None:
    close_shared_client()
    close_shared_client()
    assert blocking_client._client is None
