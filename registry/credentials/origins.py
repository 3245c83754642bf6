"""Origins: where a credential may be sent (pure)."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_HTTP_PORTS = {"http": 80, "https": 443}
# What is reached by host and port has an origin too, so that its password is bound to it.
_PORTS = {**_HTTP_PORTS, "postgresql": 5432, "mysql": 3306, "amqp": 5672, "redis": 6379}
_SCHEMES = "|".join(_PORTS)
_ORIGIN = re.compile(rf"({_SCHEMES})://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d+)?/?", re.IGNORECASE)
_SENTENCE = (
    "Must be an origin such as https://api.example.org, http://localhost:8000 or"
    " postgresql://db.example.org:5432, no path."
)


def origin_of(url: str, *, any_scheme: bool = False) -> str:
    """Scheme, host and port of a URL in one form: lower case, without a default port.

    With `any_scheme` it may be the address of a database, a broker or a cache too.

    Raises:
        ValueError: it is not an http or https URL with a host.
    """
    ports = _PORTS if any_scheme else _HTTP_PORTS
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError:
        raise ValueError("The host or the port of the URL cannot be read.") from None
    if scheme not in ports or not host or port == 0:
        raise ValueError("Must be an http or https URL with a host.")
    try:
        host = host.rstrip(".").encode("ascii").decode()
    except UnicodeEncodeError:
        raise ValueError("Write the host in ASCII, an international one as xn--…") from None
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" + ("" if port in (None, ports[scheme]) else f":{port}")


def parse_origin(text: str) -> str:
    """An origin as it is stored.

    Raises:
        ValueError: it is none, or more than one.
    """
    if not isinstance(text, str) or not _ORIGIN.fullmatch(text.strip()) or len(text) > 300:
        raise ValueError(_SENTENCE)
    return origin_of(text.strip(), any_scheme=True)


def is_clear_text(origin: str) -> bool:
    """Whether what is sent there can be read on the way: plain HTTP to another machine."""
    host = urlsplit(origin).hostname or ""
    is_local = host in ("localhost", "::1") or re.fullmatch(r"127(\.\d+){3}", host)
    return origin.startswith("http://") and not is_local
