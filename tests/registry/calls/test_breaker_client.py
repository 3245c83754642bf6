"""Calls of services through their breakers, over real connections."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from registry.calls.client import ServiceClient
from registry.calls.targets.resolver import CallTarget
from registry.calls.transport import Transport
from registry.exceptions import (
    CallError,
    CircuitOpenError,
    ServiceNotReachedError,
    ServiceResponseError,
)
from registry.models import CircuitBreakerState
from tests import factories
from tests.support.breakers import in_database
from tests.support.futures import in_future
from workflows.decide import describe
from workflows.definition.model import RetryPolicy

pytestmark = pytest.mark.django_db(transaction=True)
TARGET = CallTarget("service", "echo")


@pytest.fixture
async def servers():
    """Two servers: each answers with the status that is set for it, and counts its calls."""
    found = []

    def build(index):
        async def answer(_):
            found[index]["calls"] += 1
            return web.json_response({"from": index}, status=found[index]["status"])

        application = web.Application()
        application.router.add_post("/greet", answer)
        return application

    started = [TestServer(build(index)) for index in range(2)]
    for server in started:
        await server.start_server()
        found.append({"status": 200, "calls": 0, "url": str(server.make_url("")).rstrip("/")})
    yield found
    for server in started:
        await server.close()


@pytest.fixture
async def client():
    found = ServiceClient()
    yield found
    await found.close()


def register(*urls, **fields):
    return in_database(
        lambda: factories.make_service("echo", urls=urls, actions=("greet",), **fields)
    )


async def outcome(client):
    try:
        return await client.call(TARGET, "greet", {})
    except CallError as error:
        return error


def states():
    return in_database(
        lambda: dict(CircuitBreakerState.objects.values_list("instance__url", "state"))
    )


async def test_an_open_instance_is_passed_over_for_another(client, servers):
    await register(*(server["url"] for server in servers))
    servers[0]["status"] = 500
    for _ in range(40):
        await outcome(client)
    assert servers[0]["calls"] == 3
    assert servers[1]["calls"] == 37
    assert await states() == {servers[0]["url"]: "OPEN", servers[1]["url"]: "CLOSED"}


async def test_when_all_are_open_nothing_is_called_and_the_error_says_when_to_return(
    client, servers
):
    await register(*(server["url"] for server in servers))
    for server in servers:
        server["status"] = 500
    for _ in range(10):
        await outcome(client)
    error = await outcome(client)
    assert isinstance(error, CircuitOpenError)
    assert (error.code, error.status_code, error.kind) == ("circuit_open", 503, "UNAVAILABLE")
    assert 55 < error.retry_after <= 66
    assert "the circuits of all 2 instances are open. 3 failures in a row." in error.message
    assert [server["calls"] for server in servers] == [3, 3]


async def test_the_only_instance_is_named(client, servers):
    await register(servers[0]["url"])
    servers[0]["status"] = 503
    for _ in range(3):
        await outcome(client)
    error = await outcome(client)
    assert error.details["instance"] == servers[0]["url"]
    assert describe(error)["code"] == "circuit_open"


async def test_the_engine_tries_again_when_the_circuit_may_be_tried(client, servers):
    await register(servers[0]["url"])
    servers[0]["status"] = 503
    for _ in range(3):
        await outcome(client)
    error = await outcome(client)
    policy = RetryPolicy()
    assert policy.allows(1, kind=error.kind, status_code=error.upstream_status, code=error.code)
    assert policy.delay(1, retry_after=error.retry_after, fraction=0) == error.retry_after


async def test_refused_requests_do_not_open_it(client, servers):
    await register(servers[0]["url"])
    servers[0]["status"] = 404
    for _ in range(10):
        assert isinstance(await outcome(client), ServiceResponseError)
    assert await states() == {servers[0]["url"]: "CLOSED"}


async def test_an_instance_that_nobody_reaches_opens_too(client):
    await register("http://127.0.0.1:9")
    errors = [await outcome(client) for _ in range(4)]
    assert [error.code for error in errors] == ["service_unavailable"] * 3 + ["circuit_open"]


async def test_an_instance_that_no_time_was_left_for_is_not_asked(servers, monkeypatch):
    now = [0.0]
    client = ServiceClient(clock=lambda: now[0])
    asked = []

    async def unreachable(_, action, endpoint, *__):
        asked.append(endpoint.url)
        now[0] += 60
        raise ServiceNotReachedError("No connection.", service=action.service)

    monkeypatch.setattr(Transport, "send", unreachable)
    await register("http://127.0.0.1:9", servers[0]["url"])
    assert isinstance(await outcome(client), ServiceNotReachedError)
    assert len(asked) == 1
    await client.close()


async def test_criticality_and_the_service_itself_say_when_it_opens(client, servers):
    await register(servers[0]["url"], criticality="CRITICAL")
    servers[0]["status"] = 500
    errors = [await outcome(client) for _ in range(6)]
    assert isinstance(errors[4], ServiceResponseError)
    assert isinstance(errors[5], CircuitOpenError)


async def test_own_rules_of_a_service_hold(client, servers):
    await register(servers[0]["url"], breaker={"failure_threshold": 1})
    servers[0]["status"] = 500
    errors = [await outcome(client) for _ in range(2)]
    assert isinstance(errors[1], CircuitOpenError)


def test_over_the_api_an_open_circuit_is_503_with_retry_after(monkeypatch):
    def refuse(*_, **__):
        raise CircuitOpenError("'down' is not called.", retry_after=51.2, service="down")

    monkeypatch.setattr("registry.api.services.begin_call", in_future(refuse))
    factories.make_service("down")
    answer = factories.caller().post("/registry/services/down/actions/greet/execute", {})
    assert (answer.status_code, answer.json()["code"]) == (503, "circuit_open")
    assert answer.headers["Retry-After"] == "52"
