"""Who is at the other end of a connection, also where proxies stand between (pure).

A proxy appends the address that it was called from to `X-Forwarded-For`. Whoever calls may send
that header too, so an entry counts only as far as it was written by a proxy that is trusted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

FORWARDED_FOR = "x-forwarded-for"
FORWARDED_PROTO = "x-forwarded-proto"
_SCHEMES = frozenset(("http", "https"))

Networks = tuple[IPv4Network | IPv6Network, ...]


def client_address(peer: str, headers: Mapping[str, str], trusted: Iterable[str]) -> str:
    """Return the address of the client: the right-most one that is no trusted proxy's.

    `headers` are by name in lower case, one that came several times joined by commas. `peer` is the
    address of the connection, which is the answer unless it is in one of the `trusted` networks.
    What cannot be read as an address ends the search at the proxy that wrote it; where every entry
    is a trusted one, the left-most is the client.
    """
    networks = tuple(trusted)
    client = peer
    for entry in reversed(headers.get(FORWARDED_FOR, "").split(",")):
        if not is_in_networks(client, networks):
            break
        address = _read_entry(entry.strip())
        if address is None:
            break
        client = str(address)
    return client


def client_scheme(
    peer: str, scheme: str, headers: Mapping[str, str], trusted: Iterable[str]
) -> str:
    """Return `http` or `https` as the trusted proxy at the other end says, or else `scheme`.

    Of several values the last counts: it is the one that this proxy wrote.
    """
    said = headers.get(FORWARDED_PROTO, "").rpartition(",")[2].strip().lower()
    return said if said in _SCHEMES and is_in_networks(peer, trusted) else scheme


def is_in_networks(address: str, networks: Iterable[str]) -> bool:
    """Return whether an address is in one of the networks; an IPv4 one may be written as IPv6."""
    try:
        caller = _plain(ip_address(address))
    except ValueError:
        return False
    return any(caller in network for network in _read_networks(tuple(networks)))


@lru_cache(maxsize=256)
def _read_networks(texts: tuple[str, ...]) -> Networks:
    return tuple(ip_network(text, strict=False) for text in texts)


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    return getattr(address, "ipv4_mapped", None) or address


def _read_entry(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address of an entry, which some proxies write with a port."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return _plain(ip_address(text))
    except ValueError:
        return None
