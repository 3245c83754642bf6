"""A front within this process, whose kept answers do not age, and services to ask it for."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core.wsgi import get_wsgi_application
from django.db import transaction

from integration_site.front.application import Front
from integration_site.front.django_pool import DjangoPool
from integration_site.front.response_cache import ResponseCache
from integration_site.front.shortcuts import shortcuts_over
from registry.discovery.change_log import record_change
from registry.models import RegistryChangeKind, Service
from tests import factories
from tests.support.asgi import Answered, ask

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TYPE = "PLANNING_SYSTEM"
ID = uuid.UUID(int=7)


class CountedDjango:
    """Django, and how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self._application = get_wsgi_application()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        self.asked += 1
        return self._application(environ, start_response)


@contextmanager
def front_over(django: CountedDjango) -> Iterator[Front]:
    with pytest.MonkeyPatch.context() as patch, time_machine.travel(NOW, tick=False):
        ageless = {"most_bytes": 10**8, "clock": lambda: 0.0}
        patch.setattr(ResponseCache.__init__, "__kwdefaults__", ageless)
        pool = DjangoPool(django, threads=2, share=2)
        yield Front(pool, shortcuts_over(pool))
        pool.close()


def make_fleet() -> None:
    """Store services that each filter divides."""
    with time_machine.travel(NOW - timedelta(minutes=1), tick=False):
        factories.make_service(
            "billing", id=ID, urls=("http://a.test", "http://b.test"), actions=("charge",),
            type=TYPE, tags=["paid"], metadata={"plan": "gold"}, version="1.10.1",
            instance={"zone": "a"},
        )  # fmt: skip
        factories.make_service("shop", urls=("http://c.test",), tags=["free"], version="1.9")
        factories.make_service("gone", status="OFFLINE", description="still there")
        for service in Service.objects.all():
            with transaction.atomic():
                record_change(service, RegistryChangeKind.REGISTERED)


def bearer(role: str = "VIEWER", **fields: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {factories.make_key(role, **fields)[1]}"}


async def ask_anew(front: Front, path: str, **sent: Any) -> Answered:
    """Ask for an answer of Django."""
    return await ask(front, path, **sent, cache_control="no-cache")
