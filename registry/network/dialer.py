"""Dials only what the address policy lets through.

A name is resolved once, every answer is judged, and what was judged is what is dialled: a name that
answers differently a moment later changes nothing. The socket is the last line: nothing is dialled
that did not pass there, whoever asked for it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from django.conf import settings
from yarl import URL

from registry.network.address_policy import (
    AddressPolicy,
    AddressRefused,
    read_address,
    url_refusal,
)
from registry.network.framing import framed

NAMES_SECONDS = 10


@lru_cache(maxsize=8)
def _policy_of(networks: tuple[str, ...]) -> AddressPolicy:
    return AddressPolicy.of(networks)


def get_policy() -> AddressPolicy:
    """Return the policy that the settings describe."""
    return _policy_of(tuple(settings.ALLOWED_NETWORKS))


class CheckedResolver(AbstractResolver):
    """Resolves names, and refuses those of which any answer is refused."""

    def __init__(self, policy: AddressPolicy, resolver: AbstractResolver | None = None) -> None:
        self._policy = policy
        self._resolver = resolver or aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name. Raises: OSError if it has none or one is refused."""
        self._policy.check_host(host)
        answers = await self._resolver.resolve(host, port, family)
        for answer in answers:
            self._policy.check_address(ip_address(answer["host"].partition("%")[0]))
        return answers

    async def close(self) -> None:
        """Close the resolver that is asked."""
        await self._resolver.close()


def make_connector(
    policy: AddressPolicy, *, resolver: AbstractResolver | None = None, **options: Any
) -> aiohttp.TCPConnector:
    """Return a connector that dials only what the policy lets through; `options` are aiohttp's."""

    def open_socket(info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, address = info
        policy.check_address(ip_address(str(address[0]).partition("%")[0]))
        return socket.socket(family, kind, protocol)

    return framed(
        aiohttp.TCPConnector(
            resolver=CheckedResolver(policy, resolver),
            socket_factory=open_socket,
            ttl_dns_cache=NAMES_SECONDS,
            **options,
        )
    )


def checked_addresses(
    host: str,
    port: int,
    *,
    policy: AddressPolicy | None = None,
    look_up: Callable[..., Sequence[Any]] = socket.getaddrinfo,
) -> list[str]:
    """Return the addresses of a host, all of them judged, for drivers that do not speak HTTP.

    The caller must dial one of them, not the name.

    Raises:
        AddressRefused: the host, or one of its addresses, must not be called.
        OSError: the name has no address.
    """
    policy = policy or get_policy()
    policy.check_host(host)
    literal = read_address(host)
    if literal is not None:
        return [str(literal)]
    addresses = [
        str(answer[4][0]).partition("%")[0]
        for answer in look_up(host, port, type=socket.SOCK_STREAM)
    ]
    for address in addresses:
        policy.check_address(ip_address(address))
    return list(dict.fromkeys(addresses))


def refusal_of(url: URL, policy: AddressPolicy) -> str:
    """Return why a policy refuses a URL by the look of it; empty when it does not."""
    user = url.raw_user is not None or url.raw_password is not None
    return url_refusal(policy, url.scheme, url.raw_host or "", url.explicit_port, user=user)


def refusal_in(error: BaseException) -> AddressRefused | None:
    """Return the refusal that is behind an error of aiohttp, if one is."""
    inner = getattr(error, "os_error", None)
    return inner if isinstance(inner, AddressRefused) else None
