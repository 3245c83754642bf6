"""Decides which addresses may be called (pure): http and https, and networks not ruled out.

An address is judged by what it is, not by how it is written: forms that carry an IPv4 address
inside an IPv6 one are judged by the address inside (RFC 4291, 2.5.5; RFC 6052; RFC 6145).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_network,
)
from typing import Self

from core.addresses import HTTP_PORTS, Address, BadAddress, normal_host, read_literal

Network = IPv4Network | IPv6Network

# Each with the words that say why. Nothing opens these, not even ALLOWED_NETWORKS.
_NEVER: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(text), reason)
    for text, reason in (
        ("0.0.0.0/8", "unspecified"),
        ("169.254.0.0/16", "link-local, where clouds keep their metadata"),
        ("100.100.100.200/32", "a metadata service"),
        ("168.63.129.16/32", "a metadata service"),
        ("192.0.0.0/24", "set aside for protocols"),
        ("192.88.99.0/24", "a relay of 6to4"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved or broadcast"),
        ("::/128", "unspecified"),
        ("fd00:ec2::254/128", "a metadata service"),
        ("fd20:ce::254/128", "a metadata service"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
        ("100::/64", "a discard prefix"),
        ("2001::/32", "a Teredo tunnel"),
        ("2002::/16", "a 6to4 tunnel"),
        ("64:ff9b:1::/48", "a local translation prefix"),
        ("::ffff:0:0:0/96", "a translated IPv4 address"),
    )
)
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")


class AddressRefused(OSError):
    """An address that must not be called. An OSError, so that it passes through drivers as one."""


@dataclass(frozen=True)
class AddressPolicy:
    """Public addresses may be called, and of the others those in `allowed`."""

    allowed: tuple[Network, ...] = ()

    @classmethod
    def of(cls, networks: Iterable[str]) -> Self:
        """Return a policy that allows these networks, such as `10.0.0.0/8`.

        Raises:
            ValueError: one cannot be read; the message names it.
        """
        return cls(tuple(ip_network(text.strip(), strict=False) for text in networks))

    def check_url(self, scheme: str, host: str, port: int | None, *, user: bool = False) -> None:
        """Judge what can be told from a URL without asking anybody for its name.

        Raises:
            AddressRefused: it must not be called.
        """
        if user:
            raise AddressRefused("A URL with a user name or password is not called.")
        if scheme not in HTTP_PORTS:
            raise AddressRefused(f"Only http and https are called, not '{scheme[:20]}'.")
        if port is not None and not 0 < port < 65536:
            raise AddressRefused("The port must be from 1 to 65535.")
        self.check_host(host)

    def check_host(self, host: str) -> None:
        """Judge a host name, or the address that it is.

        Raises:
            AddressRefused: it must not be called.
        """
        literal = read_address(host)
        if literal is not None:
            self.check_address(literal)

    def check_address(self, address: Address) -> None:
        """Judge an address.

        Raises:
            AddressRefused: it must not be called.
        """
        reason = self._objection(address)
        if reason:
            raise AddressRefused(f"The address {address} is {reason}; it is not called.")

    def _objection(self, address: Address) -> str:
        if isinstance(address, IPv6Address) and (inner := _inside(address)) is not None:
            # Where a gateway translates, "private" is its network, which nobody allowed here.
            policy = self if address in _MAPPED else AddressPolicy()
            return policy._objection(inner)
        for network, reason in _NEVER:
            if address.version == network.version and address in network:
                return reason
        if address.is_global or any(
            address.version == network.version and address in network for network in self.allowed
        ):
            return ""
        return "loopback" if address.is_loopback else "not public, and not in ALLOWED_NETWORKS"


def read_address(host: str) -> Address | None:
    """Return the address that a host is; None for a name.

    Raises:
        AddressRefused: it is neither, or has a zone, which only means something on one machine.
    """
    try:
        return read_literal(normal_host(host))
    except BadAddress as error:
        raise AddressRefused(str(error)) from None


def _inside(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that a mapped, translated or compatible one carries."""
    if address in _MAPPED or address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _COMPATIBLE and int(address) > 1:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


@lru_cache(maxsize=4096)
def url_refusal(
    policy: AddressPolicy, scheme: str, host: str, port: int | None, *, user: bool = False
) -> str:
    """Return why a URL is not called; empty when it may be. Remembered, since calls repeat."""
    try:
        policy.check_url(scheme, host, port, user=user)
    except AddressRefused as error:
        return str(error)
    return ""
