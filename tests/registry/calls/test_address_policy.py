"""The address policy: what may be called, whatever way it is written, resolved or redirected to."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_address
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from core.json.schema import Schema
from registry.calls.request import OutboundRequest
from registry.calls.targets.resolver import Endpoint, ResolvedAction
from registry.calls.transport import Transport
from registry.exceptions import AddressRefusedError, CallError, ServiceResponseError
from registry.network.address_policy import AddressPolicy, AddressRefused
from registry.network.dialer import checked_addresses
from tests import factories
from tests.support.hostile_urls import hostile_urls

NOTHING_ALLOWED = AddressPolicy()
LOOPBACK = AddressPolicy.of(["127.0.0.0/8", "::1/128"])
# Loopback, but for the address where the counting listener is.
BESIDE = AddressPolicy.of(["127.0.0.2/32"])


class Names(AbstractResolver):
    """Answers for names what the test says, one answer after the other."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self._answers = {name.replace("_", "."): list(said) for name, said in answers.items()}
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked.append(host)
        said = self._answers.get(host.lower().rstrip("."), [["127.0.0.1"]])
        found = said.pop(0) if len(said) > 1 else said[0]
        return [
            ResolveResult(
                hostname=host, host=text, port=port, flags=0, proto=socket.IPPROTO_TCP,
                family=socket.AF_INET6 if ":" in text else socket.AF_INET,
            )
            for text in found
        ]  # fmt: skip

    async def close(self) -> None:
        """Nothing to close."""


@contextmanager
def watched_dials() -> Iterator[list[tuple[Any, ...]]]:
    """Every address that this process connects a socket to, as CPython's audit events tell it."""
    dials: list[tuple[Any, ...]] = []
    watching = True

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event == "socket.connect" and isinstance(arguments[1], tuple):
            dials.append(arguments[1])

    sys.addaudithook(hook)
    try:
        yield dials
    finally:
        watching = False


@asynccontextmanager
async def counting_listener(host: str, port: int = 0) -> AsyncIterator[tuple[int, list[Any]]]:
    """A listener that counts who connects."""
    came: list[Any] = []

    async def count(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(writer.get_extra_info("peername"))
        writer.close()

    server = await asyncio.start_server(count, host, port)
    async with server:
        yield server.sockets[0].getsockname()[1], came


async def send(transport: Transport, url: str) -> Any:
    action = ResolvedAction(
        service="target", action="act", method="POST", path="/", timeout_seconds=None,
        idempotent=True, input_schema=Schema({}), output_schema=Schema({}), endpoints=(),
    )  # fmt: skip
    endpoint = Endpoint(id="1", url=url, status="ONLINE", weight=1)
    return await transport.send(action, endpoint, OutboundRequest("POST", url, b"{}"), 5.0)


def is_closed(address: str) -> bool:
    try:
        NOTHING_ALLOWED.check_address(ip_address(address.partition("%")[0]))
    except AddressRefused:
        return True
    return False


def test_no_packet_reaches_a_denied_address_in_whatever_way_it_is_written() -> None:
    names = Names(
        rebound_example=[["127.0.0.1"], ["127.0.0.1"]], mixed_example=[["1.1.1.1", "::1"]]
    )

    async def attack() -> tuple[list[str], list[Any], int]:
        got_through, refused = [], 0
        async with counting_listener("127.0.0.1") as (port, came):
            urls = hostile_urls(port)
            transport = Transport(policy=NOTHING_ALLOWED, resolver=names)
            for url in urls:
                try:
                    await send(transport, url)
                    got_through.append(url)
                except AddressRefusedError:
                    refused += 1
                except ServiceResponseError:
                    continue  # no URL at all
            await transport.close()
            return got_through, came, refused

    with watched_dials() as dials:
        got_through, came, refused = asyncio.run(attack())
    assert refused >= 500, refused
    assert got_through == []
    assert came == []
    assert [where for where in dials if is_closed(str(where[0]))] == []


def test_the_listener_counts_what_the_policy_lets_through() -> None:
    async def call() -> list[Any]:
        async with counting_listener("127.0.0.1") as (port, came):
            transport = Transport(policy=LOOPBACK)
            with pytest.raises(CallError):
                await send(transport, f"http://127.0.0.1:{port}/")
            await transport.close()
            return came

    with watched_dials() as dials:
        assert len(asyncio.run(call())) == 1
    assert [where[0] for where in dials] == ["127.0.0.1"]


def test_no_redirect_is_followed() -> None:
    async def attack() -> tuple[int, list[Any], set[int | None]]:
        statuses: set[int | None] = set()
        async with counting_listener("127.0.0.1") as (port, came):
            targets = iter(hostile_urls(port)[:120])
            app = web.Application()

            async def redirect(_: web.Request) -> web.Response:
                target = next(targets).encode("ascii", "replace").decode()
                return web.Response(status=302 + len(target) % 2 * 5, headers={"Location": target})

            app.router.add_route("*", "/{any:.*}", redirect)
            runner = web.AppRunner(app)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.2", 0)
            await site.start()
            where = runner.addresses[0][1]
            transport = Transport(policy=BESIDE)
            for _ in range(120):
                try:
                    await send(transport, f"http://127.0.0.2:{where}/")
                except CallError as error:
                    statuses.add(error.upstream_status)
            await transport.close()
            await runner.cleanup()
            return port, came, statuses

    _, came, statuses = asyncio.run(attack())
    assert came == []
    assert statuses == {302, 307}


def test_a_name_that_answers_differently_after_the_check_is_dialled_where_it_was_checked() -> None:
    async def attack() -> tuple[list[Any], list[Any], list[str]]:
        async with (
            counting_listener("127.0.0.2") as (port, allowed),
            counting_listener("127.0.0.1", port) as (_, denied),
        ):
            names = Names(rebound_example=[["127.0.0.2"], ["127.0.0.1"]])
            transport = Transport(policy=BESIDE, resolver=names)
            with pytest.raises(CallError):
                await send(transport, f"http://rebound.example:{port}/")
            await transport.close()
            again = Transport(policy=BESIDE, resolver=names)
            with pytest.raises(AddressRefusedError):
                await send(again, f"http://rebound.example:{port}/")
            await again.close()
            return allowed, denied, names.asked

    allowed, denied, asked = asyncio.run(attack())
    assert (len(allowed), len(denied), len(asked)) == (1, 0, 2)


def test_one_denied_answer_refuses_the_name() -> None:
    async def call() -> None:
        transport = Transport(
            policy=BESIDE, resolver=Names(mixed_example=[["127.0.0.2", "127.0.0.1"]])
        )
        try:
            await send(transport, "http://mixed.example:9/")
        finally:
            await transport.close()

    with watched_dials() as dials, pytest.raises(AddressRefusedError, match=r"127\.0\.0\.1"):
        asyncio.run(call())
    assert dials == []


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
)
def test_public_addresses_may_be_called(address: str) -> None:
    NOTHING_ALLOWED.check_address(ip_address(address))


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "fd12::1"])
def test_private_networks_are_opened_by_the_setting(address: str) -> None:
    AddressPolicy.of(["10.0.0.0/8", "fd12::/16"]).check_address(ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "0.0.0.0", "224.0.0.1", "fe80::1", "::", "fd00:ec2::254",
     "::ffff:169.254.169.254", "64:ff9b::10.0.0.1", "2002:a00:1::1"],
)  # fmt: skip
def test_no_setting_opens_what_is_never_called(address: str) -> None:
    with pytest.raises(AddressRefused):
        AddressPolicy.of(["0.0.0.0/0", "::/0"]).check_address(ip_address(address))


def test_other_drivers_get_addresses_that_were_judged() -> None:
    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, 1, 6, "", (text, port)) for text in ("8.8.8.8", "10.0.0.1")]

    assert checked_addresses("127.0.0.1", 5432, policy=LOOPBACK) == ["127.0.0.1"]
    with pytest.raises(AddressRefused, match=r"10\.0\.0\.1"):
        checked_addresses("db.example", 5432, policy=LOOPBACK, look_up=look_up)


@pytest.mark.django_db
def test_a_service_with_a_denied_address_is_refused_at_registration() -> None:
    answer = factories.caller().post(
        "/registry/services",
        {"name": "sly", "type": "CUSTOM", "url": "http://169.254.169.254/latest"},
        format="json",
    )
    assert answer.status_code == 400
    assert "link-local" in answer.json()["errors"]["url"][0]


def test_no_token_is_asked_for_at_a_denied_address() -> None:
    async def ask() -> None:
        transport = Transport(policy=NOTHING_ALLOWED)
        try:
            await transport.post_form("http://127.0.0.1:9/token", {}, {}, 5.0)
        finally:
            await transport.close()

    with watched_dials() as dials, pytest.raises(AddressRefusedError):
        asyncio.run(ask())
    assert dials == []


def test_a_probe_asks_no_denied_address() -> None:
    async def ask() -> Any:
        transport = Transport(policy=NOTHING_ALLOWED)
        found = await transport.probe(["http://127.0.0.1:9/health"])
        await transport.close()
        return found[0]

    with watched_dials() as dials:
        assert "loopback" in asyncio.run(ask()).error
    assert dials == []
