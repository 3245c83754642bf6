"""Calls over a real connection, to a server that misbehaves in every way we know."""

import asyncio
import itertools
import threading

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from django.db import OperationalError

from core.exceptions import SchemaViolation
from core.json.schema import Schema
from registry.calls.client import ServiceClient
from registry.calls.targets.resolver import CallTarget, Endpoint, ResolvedAction
from registry.exceptions import (
    NoTimeLeftError,
    RegistryUnreachableError,
    ServiceConnectionError,
    ServiceNotFoundError,
    ServiceNotReachedError,
    ServiceResponseError,
    ServiceTimeoutError,
    ServiceUnavailableError,
)

TARGET = CallTarget("service", "echo")
NOBODY = "http://127.0.0.1:9"


def action_at(*urls, path="/echo", method="POST", input_schema=None, output_schema=None):
    return ResolvedAction(
        service="echo",
        action="echo",
        method=method,
        path=path,
        input_schema=Schema(input_schema or {}),
        output_schema=Schema(output_schema or {}),
        timeout_seconds=None,
        idempotent=True,
        endpoints=tuple(Endpoint(url, url, "ONLINE", 100) for url in urls),
    )


ANSWERS = {
    "/text": {"text": "hello"},
    "/scalar": {"text": "7"},
    "/empty": {"status": 204},
    "/twice": {"text": '{"a": 1, "a": 2}'},
    "/nul": {"text": '{"a": "\\u0000"}'},
    "/large": {"body": b" " * (11 << 20)},
    "/move": {"status": 302, "headers": {"Location": "/echo"}},
}


def answering(answer):
    async def handle(_):
        return web.Response(**answer)

    return handle


@pytest.fixture
async def server():
    """Answers by path: what arrived, or what the path says."""
    application = web.Application()
    application.router.add_route("*", "/echo", echo)
    application.router.add_route("*", "/projects/{id}", echo)
    application.router.add_post("/status/{code}", status)
    for path, answer in ANSWERS.items():
        application.router.add_post(path, answering(answer))
    application.router.add_post("/drip", drip)
    application.router.add_post("/drop", drop)
    async with TestServer(application) as found:
        yield str(found.make_url("")).rstrip("/")


async def echo(request):
    body = await request.json() if request.can_read_body else None
    return web.json_response(
        {
            "method": request.method,
            "path": request.raw_path,
            "body": body,
            "headers": dict(request.headers),
        }
    )


async def status(request):
    code = int(request.match_info["code"])
    headers = {"Retry-After": "7"} if code in (429, 503) else {}
    return web.json_response({"detail": "Not today."}, status=code, headers=headers)


async def drip(request):
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.02)


async def drop(request):
    request.transport.close()
    await asyncio.sleep(1)


async def call(found, document=None, **options):
    client = ServiceClient(resolver=lambda *_: found)
    try:
        return await client.call(TARGET, "echo", document or {}, **options)
    finally:
        await client.close()


async def test_input_becomes_the_body_and_headers_are_sent(server):
    result = await call(action_at(server), {"x": 1}, headers={"X-Request-ID": "r1"})
    assert result.output["body"] == {"x": 1}
    assert result.output["headers"]["X-Request-ID"] == "r1"
    assert (result.service, result.instance, result.status_code) == ("echo", server, 200)


async def test_placeholders_of_the_path_are_filled_and_consumed(server):
    found = action_at(server, path="/projects/{project_id}", method="PUT")
    result = await call(found, {"project_id": "a..b c", "name": "n"})
    assert result.output["path"] == "/projects/a..b%20c"
    assert result.output["body"] == {"name": "n"}


async def test_rest_of_a_get_becomes_the_query(server):
    found = action_at(server, method="GET")
    result = await call(found, {"q": "a b&c", "deep": {"x": 1}, "flag": True, "no": None})
    assert result.output["path"] == "/echo?q=a+b%26c&deep=%7B%22x%22%3A+1%7D&flag=true"


@pytest.mark.parametrize("document", [{}, {"project_id": None}, {"project_id": ".."}])
async def test_placeholder_without_a_usable_value_is_refused_before_sending(server, document):
    with pytest.raises(SchemaViolation) as caught:
        await call(action_at(server, path="/projects/{project_id}"), document)
    assert "project_id" in caught.value.details["errors"]


async def test_input_against_the_schema_is_refused_before_sending():
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    with pytest.raises(SchemaViolation) as caught:
        await call(action_at(NOBODY, input_schema=schema), {"text": 1})
    assert list(caught.value.details["errors"]) == ["text"]


async def test_running_document_is_cut_to_a_closed_schema(server):
    schema = {"type": "object", "properties": {"x": {}}, "additionalProperties": False}
    result = await call(action_at(server, input_schema=schema), {"x": 1, "y": 2}, trim=True)
    assert result.sent == result.output["body"] == {"x": 1}


async def test_answer_against_the_schema_is_an_error(server):
    schema = {"type": "object", "required": ["text"]}
    with pytest.raises(ServiceResponseError, match="output schema"):
        await call(action_at(server, output_schema=schema))


@pytest.mark.parametrize("code", [502, 503])
async def test_unavailable_answers_are_unavailability(server, code):
    with pytest.raises(ServiceUnavailableError, match="Not today") as caught:
        await call(action_at(server, path=f"/status/{code}"))
    assert caught.value.upstream_status == code
    assert caught.value.retry_after == (7 if code == 503 else None)


@pytest.mark.parametrize(
    ("code", "permanent"), [(400, True), (404, True), (408, False), (429, False), (500, False)]
)
async def test_other_answers_are_permanent_unless_they_may_pass(server, code, permanent):
    with pytest.raises(ServiceResponseError) as caught:
        await call(action_at(server, path=f"/status/{code}"))
    assert (caught.value.permanent, caught.value.upstream_status) == (permanent, code)


@pytest.mark.parametrize("path", ["/text", "/scalar", "/twice", "/nul", "/large", "/move"])
async def test_answer_that_cannot_be_used_is_an_error(server, path):
    with pytest.raises(ServiceResponseError):
        await call(action_at(server, path=path))


async def test_empty_answer_is_an_empty_object(server):
    assert (await call(action_at(server, path="/empty"))).output == {}


async def test_dripping_answer_does_not_stretch_the_deadline(server):
    with pytest.raises(ServiceTimeoutError, match=r"within 0\.[0-2]\d* s"):
        await call(action_at(server, path="/drip"), timeout_seconds=0.2)


async def test_nothing_is_sent_once_the_deadline_is_over(server):
    moments = itertools.count()
    client = ServiceClient(
        clock=lambda: float(next(moments)), resolver=lambda *_: action_at(NOBODY, server)
    )
    try:
        with pytest.raises(NoTimeLeftError, match="not called: its deadline was over"):
            await client.call(TARGET, "echo", {}, timeout_seconds=0.5)
    finally:
        await client.close()


async def test_connection_that_breaks_is_told_from_one_that_was_never_made(server):
    with pytest.raises(ServiceConnectionError) as broken:
        await call(action_at(server, path="/drop"))
    assert not isinstance(broken.value, ServiceNotReachedError)
    with pytest.raises(ServiceNotReachedError):
        await call(action_at(NOBODY))


async def test_unknown_host_is_not_reached():
    with pytest.raises(ServiceNotReachedError, match="no-such-host"):
        await call(action_at("http://no-such-host.invalid:8000"))


async def test_another_instance_is_asked_when_one_is_not_reached(server):
    found = action_at(NOBODY, server)
    client = ServiceClient(resolver=lambda *_: found)
    for _ in range(8):
        assert (await client.call(TARGET, "echo", {})).instance == server
    await client.close()


async def test_instances_in_maintenance_are_not_called():
    found = action_at(NOBODY)
    resting = ResolvedAction(
        **{
            name: getattr(found, name) for name in found.__dataclass_fields__ if name != "endpoints"
        },
        endpoints=(Endpoint("1", NOBODY, "MAINTENANCE", 100),),
    )
    with pytest.raises(ServiceUnavailableError, match="MAINTENANCE"):
        await call(resting)


async def test_outage_of_the_database_leaves_what_it_last_said(server):
    now, outage = [0.0], [OperationalError("the database system is shutting down")]

    def resolver(target, action):
        if outage:
            raise outage[0]
        return action_at(server)

    client = ServiceClient(resolver=resolver, clock=lambda: now[0])
    with pytest.raises(RegistryUnreachableError, match="where echo is: the database system is"):
        await client.resolver_cache.find(TARGET, "echo")
    kept = outage.pop()
    found = await client.resolver_cache.find(TARGET, "echo")
    for _ in range(3):
        now[0] += 60
        outage[:] = [kept]
        assert await client.resolver_cache.find(TARGET, "echo") is found
    outage[:] = [ServiceNotFoundError("No service named 'echo' found")]
    for error in (ServiceNotFoundError, RegistryUnreachableError):
        now[0] += 60
        with pytest.raises(error):
            await client.resolver_cache.find(TARGET, "echo")
        outage[:] = [kept]
    await client.close()


async def test_callers_at_once_share_one_look_up_and_failures_are_not_kept(server):
    asked = []

    def resolver(target, action):
        asked.append(action)
        threading.Event().wait(0.05)
        if len(asked) == 1:
            raise ServiceNotFoundError("No service named 'echo' found")
        return action_at(server)

    client = ServiceClient(resolver=resolver)
    with pytest.raises(ServiceNotFoundError):
        await client.call(TARGET, "echo", {})
    await asyncio.gather(*(client.call(TARGET, "echo", {}) for _ in range(20)))
    assert len(asked) == 2
    await client.close()


async def test_without_limits_nothing_is_counted(server, monkeypatch):
    monkeypatch.setattr(
        "registry.calls.limits.limiter.make_counters", lambda _: pytest.fail("It was asked for.")
    )
    assert (await call(action_at(server))).status_code == 200
