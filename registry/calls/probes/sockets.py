"""Looks at what does not speak HTTP: names, ports, certificates."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from functools import lru_cache, partial
from ipaddress import ip_address
from typing import Any

from registry.calls.probes.certificates import end_of
from registry.calls.probes.http import to_failure
from registry.calls.probes.reading import ProbeFailed, Reading
from registry.network.address_policy import AddressPolicy, read_address

LONGEST_BANNER = 4096


async def resolve_name(host: str, policy: AddressPolicy, seconds: float) -> Reading:
    """Return the addresses of a name. Raises: ProbeFailed."""
    return await _timed(partial(_resolve, host, 0, policy), seconds)


async def connect(
    host: str, port: int, policy: AddressPolicy, seconds: float, *, reads: bool
) -> Reading:
    """Connect to a port; with `reads`, the first that it says is the body. Raises: ProbeFailed."""
    return await _timed(partial(_connect, host, port, policy, reads), seconds)


async def read_certificate(host: str, port: int, policy: AddressPolicy, seconds: float) -> Reading:
    """Return when the certificate of a port ends. Raises: ProbeFailed, also if it is not valid."""
    return await _timed(partial(_handshake, host, port, policy), seconds)


async def _timed(work: Callable[[], Awaitable[Reading]], seconds: float) -> Reading:
    started = time.perf_counter()
    try:
        async with asyncio.timeout(seconds):
            reading = await work()
    except TimeoutError:
        raise ProbeFailed("TIMEOUT", f"no answer within {seconds:g} s") from None
    except (OSError, ValueError) as error:
        raise to_failure(error) from None
    reading.latency_ms = round((time.perf_counter() - started) * 1000, 1)
    return reading


async def _resolve(host: str, port: int, policy: AddressPolicy) -> Reading:
    policy.check_host(host)
    literal = read_address(host)
    if literal is not None:
        return Reading(0.0, answers=[str(literal)])
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    answers = [str(each[4][0]).partition("%")[0] for each in found]
    return Reading(0.0, answers=list(dict.fromkeys(answers)))


async def _dial(host: str, port: int, policy: AddressPolicy, **options: Any) -> Any:
    """Connect to the first address that takes it, all of them judged before."""
    addresses = (await _resolve(host, port, policy)).answers
    for address in addresses:
        policy.check_address(ip_address(address))
    problem: OSError = OSError("it has no address")
    for address in addresses:
        try:
            return await asyncio.open_connection(address, port, **options)
        except ssl.SSLError:
            raise
        except OSError as error:
            problem = error
    raise problem


async def _connect(host: str, port: int, policy: AddressPolicy, reads: bool) -> Reading:
    reader, writer = await _dial(host, port, policy)
    try:
        body = await reader.read(LONGEST_BANNER) if reads else b""
        return Reading(0.0, body=body)
    finally:
        writer.close()


async def _handshake(host: str, port: int, policy: AddressPolicy) -> Reading:
    options = {"ssl": _context(), "server_hostname": host}
    _, writer = await _dial(host, port, policy, **options)
    try:
        return Reading(0.0, certificate_ends_at=end_of(writer.get_extra_info("ssl_object")))
    finally:
        writer.close()


@lru_cache(maxsize=1)
def _context() -> ssl.SSLContext:
    return ssl.create_default_context()
