"""Origins: where a credential may be sent (pure)."""

from __future__ import annotations

import re
from functools import lru_cache

from core.addresses import HTTP_PORTS, BadAddress, read_literal, read_url

# What is reached by host and port has an origin too, so that its password is bound to it.
_PORTS = {**HTTP_PORTS, "postgresql": 5432, "mysql": 3306, "amqp": 5672, "redis": 6379}
# Always matches: what is before the path, as far as there is any of it.
_AUTHORITY = re.compile(r"[^/?#]*(//[^/?#]*)?")
_SENTENCE = (
    "Must be an origin such as https://api.example.org, http://localhost:8000 or"
    " postgresql://db.example.org:5432, no path."
)


def origin_of(url: str, *, any_scheme: bool = False) -> str:
    """Return scheme, host and port of a URL in their one form: see `core.addresses`.

    With `any_scheme` it may be the address of a database, a broker or a cache too.

    Raises:
        ValueError: it is not an http or https URL with a host.
    """
    return _origin(url[: _AUTHORITY.match(url).end()], any_scheme)  # type: ignore[union-attr]


@lru_cache(maxsize=4096)
def _origin(text: str, any_scheme: bool) -> str:
    return read_url(text, ports=_PORTS if any_scheme else HTTP_PORTS).origin


def parse_origin(text: str) -> str:
    """Return an origin as it is stored.

    Raises:
        ValueError: it is none, or more than one.
    """
    if not isinstance(text, str) or len(text) > 300:
        raise ValueError(_SENTENCE)
    try:
        parts = read_url(text.strip(), ports=_PORTS)
    except BadAddress as error:
        raise ValueError(f"{_SENTENCE} {error}") from None
    if parts.path != "/":
        raise ValueError(_SENTENCE)
    return parts.origin


def is_clear_text(origin: str) -> bool:
    """Return whether what is sent there can be read on the way: plain HTTP to another machine."""
    parts = read_url(origin, ports=_PORTS)
    literal = read_literal(parts.host)
    is_local = literal.is_loopback if literal else parts.host == "localhost"
    return parts.scheme == "http" and not is_local
