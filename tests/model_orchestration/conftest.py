"""What the tests of model orchestration share: a provider, models of it, and a front to ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.wsgi import get_wsgi_application

from integration_site.front.django_pool import DjangoPool
from integration_site.front.shortcuts import shortcuts_over
from model_orchestration import catalog
from model_orchestration.calls.pauses import pauses
from model_orchestration.models import Model
from model_orchestration.paces import paces
from tests import factories
from tests.integration_site.front.running import running_front
from tests.support.connections import make_connection
from tests.support.model_providers import Provider, provider_server


@pytest.fixture(autouse=True)
def _nothing_known() -> None:
    catalog.forget()
    pauses.clear()
    paces.clear()


@pytest.fixture(scope="module")
def _server() -> Iterator[Provider]:
    with provider_server() as provider:
        yield provider


@pytest.fixture
def provider(_server: Provider) -> Provider:
    _server.acts.clear()
    _server.received.clear()
    _server.left.clear()
    return _server


@pytest.fixture
def make_model(provider: Provider, transactional_db: None) -> Callable[..., Model]:
    """Make a model of the provider."""

    def make(name: str = "small", **fields: Any) -> Model:
        connection = fields.pop("connection", None) or make_connection(
            base_url=fields.pop("base_url", provider.url)
        )
        defaults = {
            "provider": "CUSTOM",
            "capabilities": ["CHAT", "COMPLETION", "EMBEDDING"],
            "max_tokens": 100,
        }
        return Model.objects.create(name=name, connection=connection, **{**defaults, **fields})

    return make


@pytest.fixture(scope="module")
def _front() -> Iterator[int]:
    django: Any = get_wsgi_application()
    pool = DjangoPool(django, threads=2, share=2)
    with running_front(django, shortcuts_over(pool)) as front:
        yield front.port
    pool.close()


@pytest.fixture
def hub(_front: int, transactional_db: None, shared_client: None) -> str:
    """The address of a hub in this process."""
    return f"http://127.0.0.1:{_front}"


@pytest.fixture
def key(transactional_db: None) -> str:
    """The key of a program that may ask models."""
    return factories.make_key("SERVICE", name="program")[1]
