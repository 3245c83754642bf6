"""The one form of a host and of a URL, so that one place has one name (pure).

URLs are normalised by syntax and scheme (RFC 3986, 6.2.2 and 6.2.3): scheme and host in lower case,
no default port, no dot segments, percent-encoding where it is needed and only there, in upper case.
Host names are those of IDNA 2008, after the mapping of UTS 46; addresses have their shortest form
(RFC 5952).
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import quote, unquote

import idna

LONGEST_URL = 500
LONGEST_HOST = 253
HTTP_PORTS = {"http": 80, "https": 443}
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<host>\[[^\]/?#@\\]*\]|[^\s/?#@\\:\[\]]+)"
    r"(?::(?P<port>[0-9]{1,9}))?(?P<path>/[^\s?#\\]*)?(?P<query>\?[^\s#\\]*)?"
)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_LIKE_A_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)\Z")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
# What may stand in a path, and in a query, as it is (RFC 3986, 3.3 and 3.4).
_IN_PATH = "/%:@!$&'()*+,;=~"
_IN_QUERY = _IN_PATH + "?"
_SHAPE = (
    "Must be an http or https URL such as http://my-service:8000/api,"
    " without user name, query or fragment."
)

Address = IPv4Address | IPv6Address


class BadAddress(ValueError):
    """A text that is no host or no URL; the message says why, and what would be right."""


@dataclass(frozen=True, slots=True)
class URLParts:
    """A URL in its one form, in parts; `port` is None for that of the scheme."""

    scheme: str
    host: str
    port: int | None
    path: str
    query: str

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{shown}" + ("" if self.port is None else f":{self.port}")

    @property
    def text(self) -> str:
        """The URL; the path of a root is left out."""
        path = "" if self.path == "/" and not self.query else self.path
        return self.origin + path + self.query


def read_literal(host: str) -> Address | None:
    """Return the address that a host is, in brackets or not; None for a name."""
    try:
        return ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def normal_host(text: str) -> str:
    """Return a host name or an address in its one form, an address without brackets.

    Raises:
        BadAddress: it is neither.
    """
    if "%" in text:
        raise BadAddress(f"'{text[:100]}' has a zone or an escape in it.")
    literal = read_literal(text)
    if literal is not None:
        return _shortest(literal)
    if text.startswith("["):
        raise BadAddress(f"'{text[:100]}' is no IPv6 address.")
    name = _ascii_name(text).removesuffix(".")
    literal = read_literal(name)  # as full-width digits are
    if literal is not None:
        return _shortest(literal)
    _check_name(name, text)
    return name


def _shortest(address: Address) -> str:
    """Return the shortest form, whatever a version of Python makes of an IPv4 address inside it."""
    if isinstance(address, IPv4Address):
        return str(address)
    return socket.inet_ntop(socket.AF_INET6, address.packed)


def _ascii_name(text: str) -> str:
    lowered = text.lower()
    if lowered.isascii() and "xn--" not in lowered:
        return lowered  # such as a_b, which IDNA does not know and containers are called
    try:
        return idna.encode(text, uts46=True, std3_rules=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError) as error:
        raise BadAddress(f"'{text[:100]}' is not a host name: {error}.") from None


def _check_name(name: str, text: str) -> None:
    if len(name) > LONGEST_HOST:
        raise BadAddress(f"A host name has at most {LONGEST_HOST} characters.")
    for label in name.split("."):
        if not _LABEL.fullmatch(label):
            why = "one of its parts is empty" if not label else f"'{label[:100]}' is no part of one"
            raise BadAddress(
                f"'{text[:100]}' is not a host name: {why}. Each is 1 to 63 letters, digits and"
                " dashes, with no dash at an end."
            )
    if _LIKE_A_NUMBER.match(name.rpartition(".")[2]):
        # Resolvers read 127.1, 0x7f.0.0.1 and 2130706433 as addresses.
        raise BadAddress(f"'{text[:100]}' is an address in an unusual form.")


def read_url(
    text: str, *, with_query: bool = False, ports: dict[str, int] = HTTP_PORTS
) -> URLParts:
    """Read a URL into its one form; `ports` are the schemes and their default ports.

    Raises:
        BadAddress: it is none, or has what it must not have.
    """
    match = _URL.fullmatch(text)
    scheme = match["scheme"].lower() if match else ""
    if match is None or scheme not in ports or not text.isprintable():
        raise BadAddress(_SHAPE)
    if match["query"] and not with_query:
        raise BadAddress(_SHAPE)
    host = normal_host(match["host"])
    path = _normal_path(match["path"] or "/")
    return URLParts(scheme, host, _port(match["port"], ports[scheme]), path, _query(match["query"]))


def _port(text: str | None, default: int) -> int | None:
    number = int(text) if text else default
    if not 0 < number < 65536:
        raise BadAddress("The port must be from 1 to 65535.")
    return None if number == default else number


def _normal_path(path: str) -> str:
    """Normalise by RFC 3986, 5.2.4, what was decoded as far as 6.2.2.2 allows it."""
    segments_kept: list[str] = []
    segments = _normal_escapes(path, _IN_PATH).split("/")[1:]
    for index, segment in enumerate(segments):
        if segment == "..":
            del segments_kept[-1:]
        elif segment != ".":
            segments_kept.append(segment)
            continue
        if index == len(segments) - 1:
            segments_kept.append("")
    return "/" + "/".join(segments_kept)


def _query(query: str | None) -> str:
    return _normal_escapes(query, _IN_QUERY) if query else ""


def _normal_escapes(text: str, safe: str) -> str:
    if _BROKEN_ESCAPE.search(text):
        raise BadAddress("A percent sign must be followed by two hexadecimal digits, as in %20.")
    return _ESCAPE.sub(_normal_escape, quote(text, safe=safe))


def _normal_escape(match: re.Match[str]) -> str:
    character = unquote(match[0], errors="strict") if match[0][1] in "234567" else ""
    return character if _UNRESERVED.fullmatch(character) else match[0].upper()


@lru_cache(maxsize=4096)
def normal_url(text: str) -> str:
    """Return a URL in its one form: `HTTP://LOCALHOST:80/` is `http://localhost`.

    Raises:
        BadAddress: it is no http or https URL, or has a user name, a query or a fragment.
    """
    return _bounded(read_url(text).text)


@lru_cache(maxsize=4096)
def normal_base_url(text: str) -> str:
    """Return the one form of a URL that paths are appended to, so without slashes at its end.

    Raises:
        BadAddress: as of `normal_url`.
    """
    return _bounded(read_url(text).text.rstrip("/"))


def _bounded(url: str) -> str:
    if len(url) > LONGEST_URL:
        raise BadAddress(f"The URL has more than {LONGEST_URL} characters when it is written out.")
    return url
