"""Parts of the client for services, besides the registration itself."""

import asyncio
import atexit
import sys
import types
from datetime import datetime, timedelta

import pytest
from django.test import override_settings

from service_integration_client import (
    RegistersService,
    ServiceRegistration,
    django_app,
    get_service_integration_client,
    health_response,
    registered,
    shared_client,
)
from service_integration_client.django_app import is_serving
from tests.client.fake_hub import BASE_URL, FakeHub, answer, problem


def registration(hub):
    return ServiceRegistration("shop", "http://shop:1", base_url=BASE_URL, transport=hub.transport)


def test_health_is_that_of_all_checks():
    healthy = health_response(database=True, cache=True)
    assert list(healthy) == ["status", "database", "cache", "timestamp"]
    assert healthy["status"] == "healthy"
    assert datetime.fromisoformat(healthy["timestamp"]).utcoffset() == timedelta(0)
    assert health_response({"disk-1": True}, cache=False)["status"] == "unhealthy"


def test_check_cannot_take_the_name_of_another_field():
    with pytest.raises(ValueError, match="'status'"):
        health_response(status=True)


async def speak(application, messages):
    """Drive an ASGI application through its lifespan; return the messages that it sent."""
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    await application({"type": "lifespan"}, receive, send)
    return sent


async def test_asgi_application_is_registered_while_it_lives():
    hub = FakeHub(answer(201, {"id": "s1"}))
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    sent = await speak(registered(None, registration(hub)), messages)

    assert [message["type"] for message in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert hub.bodies[-1]["status"] == "OFFLINE"


async def test_refused_registration_stops_the_server_with_the_reason():
    hub = FakeHub(problem(401, "unauthenticated", "The key is not known."))
    sent = await speak(registered(None, registration(hub)), [{"type": "lifespan.startup"}])
    assert sent == [{"type": "lifespan.startup.failed", "message": "The key is not known."}]


async def test_requests_go_to_the_application():
    async def application(scope, receive, send):
        await send(scope["path"])

    sent = []

    async def send(message):
        sent.append(message)

    wrapped = registered(application, registration(FakeHub()))
    await wrapped({"type": "http", "path": "/a"}, None, send)
    assert sent == ["/a"]


async def test_lifespan_of_a_framework_registers():
    hub = FakeHub(answer(201, {"id": "s1"}))
    shop = registration(hub)
    async with shop.lifespan(None):
        assert shop.is_registered
    assert not shop.is_registered


def test_registration_that_was_not_started_stops():
    hub = FakeHub()
    registration(hub).stop()
    assert hub.requests == []


@pytest.mark.parametrize(
    ("arguments", "environment", "serves"),
    [
        (["/venv/bin/gunicorn", "shop.wsgi"], {}, True),
        ([], {}, True),
        (["manage.py", "migrate"], {}, False),
        (["manage.py", "runserver"], {}, False),
        (["manage.py", "runserver"], {"RUN_MAIN": "true"}, True),
        (["manage.py", "runserver", "--noreload"], {}, True),
    ],
)
def test_only_servers_register(arguments, environment, serves):
    assert is_serving(arguments, environment) is serves


@pytest.mark.parametrize("serves", [True, False])
def test_django_application_registers_until_the_process_ends(monkeypatch, serves):
    hub, at_end = FakeHub(answer(201, {"id": "s1"})), []
    monkeypatch.setattr(django_app.atexit, "register", at_end.append)

    class AppConfig:
        was_ready = False

        def ready(self):
            self.was_ready = True

    class ShopConfig(RegistersService, AppConfig):
        service_registration = {
            "name": "shop", "url": "http://shop:1", "base_url": BASE_URL,
            "transport": hub.transport,
        }  # fmt: skip

    program = "gunicorn" if serves else "manage.py"
    monkeypatch.setattr(sys, "argv", [program, "check"])
    config = ShopConfig()
    config.ready()
    for end in at_end:
        end()

    assert config.was_ready
    assert len(hub.requests) == (2 if serves else 0)


def test_hook_stands_without_a_parent(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["manage.py", "check"])
    at_end = []
    monkeypatch.setattr(atexit, "register", at_end.append)
    RegistersService().ready()
    assert at_end == []


def test_process_shares_one_client(monkeypatch):
    monkeypatch.setenv("SERVICE_INTEGRATION_URL", BASE_URL)
    first = get_service_integration_client()
    assert get_service_integration_client() is first
    monkeypatch.setenv("SERVICE_INTEGRATION_URL", "http://other:1/api")
    assert "other" in repr(get_service_integration_client())


def test_settings_of_django_come_first(monkeypatch):
    monkeypatch.setenv("SERVICE_INTEGRATION_URL", BASE_URL)
    monkeypatch.setattr(shared_client, "ServiceIntegrationClient", dict)
    with override_settings(
        SERVICE_INTEGRATION_URL="http://set:1/api", SERVICE_INTEGRATION_TIMEOUT=7
    ):
        options = get_service_integration_client()
    assert options == {"base_url": "http://set:1/api", "timeout": 7, "api_key": None}


def test_program_without_django_has_the_environment(monkeypatch):
    monkeypatch.setenv("SERVICE_INTEGRATION_URL", BASE_URL)
    monkeypatch.delitem(sys.modules, "django.conf")
    assert BASE_URL in repr(get_service_integration_client())


def test_django_that_is_not_configured_is_left_alone(monkeypatch):
    conf = types.SimpleNamespace(settings=types.SimpleNamespace(configured=False))
    monkeypatch.setitem(sys.modules, "django.conf", conf)
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE")
    monkeypatch.setenv("SERVICE_INTEGRATION_URL", BASE_URL)
    assert BASE_URL in repr(get_service_integration_client())


def test_event_loop_is_not_blocked_by_beating():
    async def live():
        hub = FakeHub(answer(201, {"id": "s1"}))
        async with registration(hub):
            await asyncio.sleep(0)
        return hub.requests

    assert len(asyncio.run(live())) == 2
