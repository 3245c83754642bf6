"""Callers of a hub that understands the shapes of the earlier system."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from django.conf import settings
from django.test import override_settings
from django.test.client import ClientHandler

from integration_site.legacy.calls import call_counter
from tests import factories

MIDDLEWARE = [*settings.MIDDLEWARE, "integration_site.legacy.middleware.LegacyMiddleware"]


@pytest.fixture
def legacy_api(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub with LEGACY_API=on; its counts are stored with each call."""
    monkeypatch.setattr("integration_site.legacy.calls.FLUSH_SECONDS", 0.0)
    monkeypatch.setattr(call_counter, "_flush_at", 0.0)
    with override_settings(LEGACY_API=True, MIDDLEWARE=MIDDLEWARE):
        yield


def _application(environ: Any, start_response: Any) -> list[bytes]:
    """Answer by the hub in this process, which keeps the test's connection to the database."""
    response = ClientHandler(enforce_csrf_checks=False)(environ)
    start_response(f"{response.status_code} Answer", [*response.items()])
    return [response.getvalue()]


def client_of(role: str = "OPERATOR", **fields: Any) -> httpx2.Client:
    """A client of the hub in this process, with a key of that role."""
    return httpx2.Client(
        transport=httpx2.WSGITransport(app=_application),
        base_url="http://localhost",
        headers={"X-API-Key": factories.make_key(role, **fields)[1]},
    )


@pytest.fixture
def old(legacy_api: None) -> httpx2.Client:
    return client_of()
