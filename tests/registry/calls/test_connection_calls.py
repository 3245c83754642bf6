"""Calls through connections: what is sent, what guards them, and what of an answer is taken."""

from __future__ import annotations

import asyncio
import gzip
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from core.exceptions import SchemaViolation
from registry.calls.body_reader import Inflater, TooLarge, WrongEncoding
from registry.calls.circuits.operator_control import (
    Control,
    Order,
    control_circuit,
    get_circuit,
)
from registry.calls.client import ServiceClient
from registry.connections.lifecycle import (
    disable_connection,
    enable_connection,
    update_connection,
)
from registry.exceptions import (
    CircuitOpenError,
    ConnectionDisabledError,
    ConnectionNotFoundError,
    ConnectionTypeError,
    CredentialError,
    RateLimitedError,
    ServiceResponseError,
    ServiceTimeoutError,
    ServiceUnavailableError,
)
from registry.models import CircuitBreakerState, Connection, CredentialEvent, ServiceAction
from tests import factories
from tests.support.connections import EDITOR, WebServer, call_now, make_connection
from tests.support.credentials import Reply, make_credential, serving
from tests.support.waiting import PATIENCE
from workflows.definition.model import RetryPolicy

# About what the hub talks to: its own database makes no difference.
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("shared_client"),
    pytest.mark.once,
]
KEPT: dict[str, Any] = {
    "config": {"headers": {"X-Tenant": "ours", "accept": "application/vnd.api+json"}}
}


@pytest.fixture
def web() -> WebServer:
    return WebServer()


@pytest.fixture
def base(web: WebServer) -> Iterator[str]:
    with serving(web.answer) as url:
        yield url


@pytest.fixture
async def client() -> AsyncIterator[ServiceClient]:
    made = ServiceClient()
    yield made
    await made.close()


async def in_thread(function: Any, *args: Any, **options: Any) -> Any:
    return await asyncio.to_thread(_closing, function, args, options)


def _closing(function: Any, args: Any, options: Any) -> Any:
    from django.db import connections

    try:
        return function(*args, **options)
    finally:
        connections.close_all()


async def made(type: str = "HTTP", **fields: Any) -> Connection:
    return await in_thread(make_connection, type, **fields)


# --- What is sent ---


async def test_base_url_path_headers_and_credential_go_together(
    web: WebServer, base: str, client: ServiceClient
) -> None:
    token = await in_thread(make_credential, "BEARER_TOKEN", allowed_origins=[base])
    found = await made(base_url=f"{base}/v1", credential=token.name, **KEPT)
    result = await client.call_connection(
        str(found.pk),
        {"id": "a b", "size": 3},
        path="/orders/{id}",
        headers={"X-Request-ID": "r1"},
    )
    method, path, headers, body = web.requests[-1]
    assert (method, path, body) == ("POST", "/v1/orders/a%20b", b'{"size":3}')
    assert headers["Authorization"] == "Bearer bearer-0123456789"
    assert (headers["X-Tenant"], headers["X-Request-ID"]) == ("ours", "r1")
    assert headers["accept"] == "application/vnd.api+json"
    assert (result.output, result.status_code, result.service) == (
        {"well": True}, 200, found.name,
    )  # fmt: skip
    await client.close()
    entry = await in_thread(lambda: CredentialEvent.objects.of(token).get(kind="USED"))
    assert entry.subject == f"connection {found.name}"


async def test_get_sends_the_document_as_its_query(
    web: WebServer, base: str, client: ServiceClient
) -> None:
    found = await made(base_url=base)
    await client.call_connection(found.name.upper(), {"q": "a&b"}, method="GET")
    assert web.requests[-1][:2] == ("GET", "/?q=a%26b")


async def test_graphql_answers_data_and_raises_errors(
    web: WebServer, base: str, client: ServiceClient
) -> None:
    found = await made("GRAPHQL", base_url=f"{base}/graphql")
    document = {"query": "query($n: Int) { a(n: $n) }", "variables": {"n": 1}}
    web.say({"data": {"a": 1}})
    result = await client.call_connection(str(found.pk), document)
    assert result.output == {"data": {"a": 1}}
    web.say({"data": {"a": None}, "errors": [{"message": "half"}]})
    assert (await client.call_connection(str(found.pk), document)).output["errors"]
    web.say({"data": None, "errors": [{"message": "No such field 'a'"}]})
    with pytest.raises(ServiceResponseError, match="No such field 'a'"):
        await client.call_connection(str(found.pk), document)
    web.reply = Reply(200, b"<html>", **{"Content-Type": "text/html"})
    with pytest.raises(ServiceResponseError, match="not usable JSON"):
        await client.call_connection(str(found.pk), document)


async def test_a_text_is_an_answer_too(web: WebServer, base: str, client: ServiceClient) -> None:
    found = await made("WEBHOOK", base_url=base)
    web.reply = Reply(200, b"ok", **{"Content-Type": "text/plain"})
    assert (await client.call_connection(str(found.pk), {"a": 1})).output == {"text": "ok"}
    for kind, output in (
        ("APPLICATION/JSON", {"a": 1}),
        ("application/vnd.a+JSON; charset=utf-8", {"a": 1}),
        ("application/x-ndjson", {"text": '{"a": 1}'}),
    ):
        web.reply = Reply(200, b'{"a": 1}', **{"Content-Type": kind})
        assert (await client.call_connection(str(found.pk), {"a": 1})).output == output, kind


async def test_code_that_is_not_asynchronous_calls_too(web: WebServer, base: str) -> None:
    found = await made(base_url=base)
    result = await in_thread(call_now, found, {"a": 1}, deadline=time.monotonic() + PATIENCE)
    assert result.output == {"well": True}


@pytest.mark.parametrize(
    ("method", "path"), [("FETCH", "/a"), ("POST", "a"), ("POST", "/a?b=1"), ("POST", "/../a")]
)
async def test_what_cannot_be_called_is_refused(
    client: ServiceClient, method: str, path: str
) -> None:
    found = await made()
    with pytest.raises(SchemaViolation):
        await client.call_connection(str(found.pk), {}, method=method, path=path)


async def test_what_is_not_there_or_speaks_no_http_is_said(client: ServiceClient) -> None:
    with pytest.raises(ConnectionNotFoundError, match="'nobody'"):
        await client.call_connection("nobody", {})
    found = await made("DATABASE")
    with pytest.raises(ConnectionTypeError, match="is a DATABASE"):
        await client.call_connection(str(found.pk), {})


# --- What guards them ---


async def test_the_circuit_of_a_connection_opens_and_is_controlled(
    web: WebServer, base: str, client: ServiceClient
) -> None:
    found = await made(base_url=base, breaker={"failure_threshold": 2})
    web.say({"detail": "broken"}, status=500)
    for _ in range(2):
        with pytest.raises(ServiceResponseError):
            await client.call_connection(str(found.pk), {})
    with pytest.raises(CircuitOpenError) as caught:
        await client.call_connection(str(found.pk), {})
    assert caught.value.retry_after
    assert len(web.requests) == 2
    row = await in_thread(get_circuit, str(found.pk))
    assert (row.state, row.connection_id, row.instance_id) == ("OPEN", found.pk, None)
    assert str(row) == found.name
    order = Order(control=Control.CLOSE, actor="tester", reason="They repaired it.")
    await in_thread(control_circuit, str(found.pk), order)
    web.say({"well": True})
    other = ServiceClient()
    assert (await other.call_connection(str(found.pk), {})).output == {"well": True}
    await other.close()


async def test_a_circuit_goes_with_its_connection(
    web: WebServer, base: str, client: ServiceClient
) -> None:
    found = await made(base_url=base)
    await client.call_connection(str(found.pk), {})
    await client.close()
    await in_thread(Connection.objects.filter(pk=found.pk).delete)
    assert not await in_thread(CircuitBreakerState.objects.exists)


async def test_the_kill_switch(web: WebServer, base: str) -> None:
    found = await made(base_url=base)
    await in_thread(disable_connection, found, reason="Too dear.", actor="owner")
    client = ServiceClient()
    with pytest.raises(ConnectionDisabledError, match=r"owner said why: Too dear\.") as caught:
        await client.call_connection(str(found.pk), {})
    assert (caught.value.code, caught.value.permanent) == ("connection_disabled", True)
    assert not web.requests
    await in_thread(enable_connection, found, actor="owner")
    assert (await client.call_connection(str(found.pk), {})).output == {"well": True}
    await client.close()


async def test_limits_of_a_connection_hold_and_cost_nothing_to_others(
    web: WebServer, base: str, client: ServiceClient
) -> None:
    limits = {"per_second": 0.01, "burst": 2, "wait_seconds": 0}
    limited = await made(base_url=base, limits=limits)
    free = await made(base_url=base)
    for _ in range(2):
        await client.call_connection(str(limited.pk), {})
    with pytest.raises(RateLimitedError) as caught:
        await client.call_connection(str(limited.pk), {})
    assert (caught.value.retry_after or 0) > 50
    assert len(web.requests) == 2
    for _ in range(3):
        await client.call_connection(str(free.pk), {})


async def test_workflows_try_again_when_the_limit_allows_it(
    web: WebServer, base: str, client: ServiceClient
) -> None:
    limits = {"per_second": 0.05, "burst": 1, "wait_seconds": 0}
    limited = await made(base_url=base, limits=limits)
    await client.call_connection(str(limited.pk), {})
    with pytest.raises(RateLimitedError) as caught:
        await client.call_connection(str(limited.pk), {})
    error, policy = caught.value, RetryPolicy()
    assert policy.allows(1, kind=error.kind, status_code=None, code=error.code)
    assert policy.delay(1, retry_after=error.retry_after, fraction=0) == error.retry_after
    await in_thread(disable_connection, limited, reason="No more.", actor="owner")
    with pytest.raises(ConnectionDisabledError) as stopped:
        await client.call_connection(str(limited.pk), {})
    kind, code = stopped.value.kind, stopped.value.code
    assert not policy.allows(1, kind=kind, status_code=None, code=code)


def test_limits_of_a_service_are_told_to_callers_of_the_api(web: WebServer, base: str) -> None:
    limits = {"per_second": 0.01, "burst": 1, "wait_seconds": 0}
    service = factories.make_service("limited", urls=(base,), limits=limits)
    ServiceAction.objects.create(service=service, name="ask", path="/ask")
    caller = factories.caller()
    url = "/registry/services/limited/actions/ask/execute"
    assert caller.post(url, {"input_data": {}}).status_code == 200
    refused = caller.post(url, {"input_data": {}})
    assert (refused.status_code, refused.data["code"]) == (429, "rate_limited")
    assert int(refused.headers["Retry-After"]) > 50


async def test_a_credential_is_not_sent_elsewhere(base: str, client: ServiceClient) -> None:
    token = await in_thread(make_credential, "BEARER_TOKEN")
    found = await made(base_url=base, credential=token.name)
    with pytest.raises(CredentialError, match="none of its allowed origins"):
        await client.call_connection(str(found.pk), {})


async def test_the_address_policy_holds(client: ServiceClient) -> None:
    found = await made()
    link_local = "http://169.254.169.254/latest"
    await in_thread(lambda: Connection.objects.filter(pk=found.pk).update(base_url=link_local))
    with pytest.raises(Exception, match="link-local"):
        await client.call_connection(str(found.pk), {})


async def test_timeouts_of_a_connection_hold(client: ServiceClient) -> None:
    ending = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not ending.is_set():
            writer.write(b" ")
            await asyncio.sleep(0.02)
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for config in ({"timeout_seconds": 0.3}, {"read_timeout_seconds": 0.3, "timeout_seconds": 1}):
        found = await made(base_url=url, config=config)
        with pytest.raises(ServiceTimeoutError):
            await client.call_connection(str(found.pk), {})
    found = await made(base_url=url)
    with pytest.raises(ServiceTimeoutError):
        await client.call_connection(str(found.pk), {}, deadline=time.monotonic() + 0.3)
    ending.set()
    server.close()


async def test_a_change_is_followed_within_two_seconds(
    web: WebServer, base: str, client: ServiceClient
) -> None:
    found = await made(base_url="http://127.0.0.1:9")
    with pytest.raises(ServiceUnavailableError):
        await client.call_connection(str(found.pk), {})
    await in_thread(update_connection, found, {"base_url": base}, EDITOR)
    assert (await client.call_connection(str(found.pk), {})).status_code == 200


# --- What of an answer is taken ---


def packed(data: bytes, how: str) -> bytes:
    if how == "gzip":
        return gzip.compress(data, mtime=0)
    window = {"deflate": 15, "raw": -15}[how]
    packer = zlib.compressobj(wbits=window)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize("how", ["gzip", "deflate", "raw"])
async def test_compressed_answers_are_read(
    web: WebServer, base: str, client: ServiceClient, how: str
) -> None:
    found = await made(base_url=base)
    encoding = {"Content-Encoding": "deflate" if how == "raw" else how}
    web.reply = Reply(200, packed(b'{"text": "' + b"a" * 200_000 + b'"}', how), **encoding)
    assert len((await client.call_connection(str(found.pk), {})).output["text"]) == 200_000
    assert "br" not in web.requests[-1][2]["Accept-Encoding"]


@pytest.mark.parametrize("how", ["gzip", "deflate", "raw"])
async def test_a_bomb_is_defused_in_little_memory(
    web: WebServer, base: str, client: ServiceClient, how: str
) -> None:
    found = await made(base_url=base)
    encoding = {"Content-Encoding": "deflate" if how == "raw" else how}
    web.reply = Reply(200, packed(b"0" * 100_000_000, how), **encoding)
    assert len(web.reply.body) < 400_000
    tracemalloc.start()
    try:
        with pytest.raises(ServiceResponseError, match="larger than 10 MiB") as caught:
            await client.call_connection(str(found.pk), {})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 30_000_000
    assert caught.value.permanent


@pytest.mark.parametrize(
    ("encoding", "body", "sentence"),
    [
        ("br", b"\x0b\x02\x80{}\x03", "encoded as 'br', which was not asked for"),
        (
            "gzip, gzip",
            gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0),
            "which was not asked for",
        ),
        ("gzip", b"{}", "is no gzip"),
        ("gzip", gzip.compress(b'{"a": 1}', mtime=0)[:-9], "ends in the middle"),
    ],
)
async def test_what_cannot_be_inflated_is_said(
    web: WebServer, base: str, client: ServiceClient, encoding: str, body: bytes, sentence: str
) -> None:
    found = await made(base_url=base)
    web.reply = Reply(200, body, **{"Content-Encoding": encoding})
    with pytest.raises(ServiceResponseError, match=sentence):
        await client.call_connection(str(found.pk), {})


def test_a_file_of_several_is_inflated_whole() -> None:
    inflater = Inflater("gzip")
    data = gzip.compress(b"one ", mtime=0) + gzip.compress(b"two")
    pieces = [data[i : i + 5] for i in range(0, len(data), 5)]
    found = b"".join(part for piece in pieces for part in inflater.feed(piece, 100))
    inflater.finish()
    assert found == b"one two"
    assert issubclass(TooLarge, ValueError)
    with pytest.raises(WrongEncoding):
        Inflater("zstd")
