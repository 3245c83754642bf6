"""An answer ends where RFC 9112, 6.3 says, whatever its peer sends behind it."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from core.json.schema import Schema
from registry.calls.client import ServiceClient
from registry.calls.targets.resolver import CallTarget, Endpoint, ResolvedAction
from registry.calls.transport import Transport
from registry.exceptions import ServiceResponseError
from registry.network.dialer import get_policy, make_connector
from tests.support.raw_server import CUTS, ODD_ANSWERS, RawServer, raw_server
from tests.support.waiting import PATIENCE

GOOD = [
    name
    for name, (method, *_, status, _) in ODD_ANSWERS.items()
    if status < 300 and method == "POST"
]


def action_at(url: str) -> ResolvedAction:
    return ResolvedAction(
        service="odd", action="do", method="POST", path="/do", input_schema=Schema({}),
        output_schema=Schema({}), timeout_seconds=None, idempotent=True,
        endpoints=(Endpoint(url, url, "ONLINE", 100),),
    )  # fmt: skip


async def everything_came(server: RawServer) -> None:
    """What follows an answer is there, before the connection is used again."""
    await asyncio.to_thread(server.sent.wait, PATIENCE)
    await asyncio.sleep(0.02)


async def call_twice(server: RawServer) -> list[Any]:
    client, target = (
        ServiceClient(resolver=lambda *_: action_at(server.url)),
        CallTarget("service", "o"),
    )
    try:
        first = await client.call(target, "do", {}, timeout_seconds=PATIENCE)
        await everything_came(server)
        return [
            first.output,
            (await client.call(target, "do", {}, timeout_seconds=PATIENCE)).output,
        ]
    finally:
        await client.close()


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", GOOD)
async def test_a_call_succeeds_and_what_follows_is_nobodys_answer(name: str, cut: str) -> None:
    _, answer, _, content = ODD_ANSWERS[name]
    with raw_server(answer, cut) as server:
        outputs = await call_twice(server)
    assert outputs == [{"ok": True} if content else {}, {"ok": True}]
    assert server.requests == 2  # neither was sent again


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", ODD_ANSWERS)
async def test_every_odd_answer_is_read_as_what_it_is(name: str, cut: str) -> None:
    method, answer, status, content = ODD_ANSWERS[name]
    connector = make_connector(get_policy())
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        with raw_server(answer, cut) as server:
            for expected in ((status, content), (200, b'{"ok":true}')):
                async with session.request(method, server.url) as response:
                    assert (response.status, await response.read()) == expected
                await everything_came(server)
                method = "POST"


async def test_probe_takes_a_204_with_a_body_for_healthy() -> None:
    transport = Transport()
    with raw_server(ODD_ANSWERS["204, length and body"][1]) as server:
        (found,) = await transport.probe([f"{server.url}/health"])
        await transport.close()
    assert (found.healthy, found.status_code, found.error) == (True, 204, "")


async def test_three_of_them_leave_the_circuit_closed() -> None:
    answer = ODD_ANSWERS["204, length and body"][1]
    for _ in range(3):
        with raw_server(answer) as server:
            assert (await call_twice(server))[0] == {}
            assert server.connections == 2


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
async def test_what_cannot_be_read_fails_at_once(answer: bytes, cut: str) -> None:
    with raw_server(answer, cut) as server, pytest.raises(ServiceResponseError):
        await call_twice(server)
