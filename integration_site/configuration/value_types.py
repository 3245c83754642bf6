"""Types of the values of variables: each reads a text, and has words for what it may be (pure)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

# A reader raises ValueError for what is wrong; what would be right is said by the words.
Reader = Callable[[str], Any]

LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
HOST = re.compile(rf"{LABEL}(\.{LABEL})*\.?")
# As Django takes it: all, a name, or a name with everything below it.
HOST_PATTERN = re.compile(rf"\*|\.?{LABEL}(\.{LABEL})*|\[[0-9a-fA-F:.]+\]")
KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
FAILPOINT = re.compile(r"C[0-9]+(@[^:]+)?(:[1-9]\d*)?")
USERNAME = re.compile(r"[\w.@+-]{1,150}")
RETENTION_CLASSES = ("SHORT", "STANDARD", "LONG")
# What every client of Redis takes behind `?`: the cache, the broker and the counts of calls.
REDIS_OPTIONS = frozenset(
    ("ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_keyfile")
)
# What libpq takes, besides who and where, which is said before `?`.
POSTGRES_OPTIONS = frozenset(
    (
        "channel_binding", "client_encoding", "connect_timeout", "gssdelegation", "gssencmode",
        "gsslib", "host", "hostaddr", "keepalives", "keepalives_count", "keepalives_idle",
        "keepalives_interval", "krbsrvname", "load_balance_hosts", "options", "passfile",
        "require_auth", "requirepeer", "service", "ssl_max_protocol_version",
        "ssl_min_protocol_version", "sslcert", "sslcertmode", "sslcompression", "sslcrl",
        "sslcrldir", "sslkey", "sslmode", "sslnegotiation", "sslpassword", "sslrootcert", "sslsni",
        "target_session_attrs", "tcp_user_timeout",
    )
)  # fmt: skip
# What Django takes for a connection, in capitals or not.
DJANGO_OPTIONS = frozenset(
    ("atomic_requests", "autocommit", "conn_max_age", "disable_server_side_cursors")
)


@dataclass(frozen=True, slots=True)
class ValueType:
    """A reader of values, and the words for what they may be."""

    read: Reader
    words: str
    is_list: bool = False


def entries(text: str) -> list[str]:
    return [part for part in (piece.strip() for piece in text.split(",")) if part]


def matching(pattern: re.Pattern[str], words: str) -> ValueType:
    def read(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError
        return text

    return ValueType(read, words)


def whole(least: int, most: int) -> ValueType:
    def read(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text) or not least <= int(text) <= most:
            raise ValueError
        return int(text)

    return ValueType(read, f"a whole number from {least} to {most}")


def seconds(least: float, most: float) -> ValueType:
    def read(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
            raise ValueError
        if not least <= float(text) <= most:
            raise ValueError
        return float(text)

    return ValueType(read, f"a number from {least:g} to {most:g}")


def choice(*values: str) -> ValueType:
    """Take one of these words, in capitals or not; `-` stands for `_`."""

    def read(text: str) -> str:
        by_name = {value.upper(): value for value in values}
        if text.upper().replace("-", "_") not in by_name:
            raise ValueError
        return by_name[text.upper().replace("-", "_")]

    return ValueType(read, either(values))


def either(values: Iterable[str]) -> str:
    """`a`, `b` or `c`."""
    *others, last = (f"`{value}`" for value in values)
    return f"{', '.join(others)} or {last}" if others else last


def list_of(value_type: ValueType, words: str) -> ValueType:
    return ValueType(
        lambda text: [value_type.read(entry) for entry in entries(text)], words, is_list=True
    )


def url(*schemes: str, path: bool = True) -> ValueType:
    """Take a URL with one of these schemes and a host."""

    def read(text: str) -> str:
        parts = urlsplit(text)
        if parts.scheme not in schemes or not _has_usable_host(parts):
            raise ValueError
        if not path and (parts.path or parts.query or parts.fragment or "@" in parts.netloc):
            raise ValueError
        return text

    return ValueType(read, f"{either(f'{scheme}://' for scheme in schemes)} and a host")


def _has_usable_host(parts: SplitResult) -> bool:
    """Raises ValueError for a port that is none."""
    host = parts.hostname or ""
    return parts.port != 0 and bool(HOST.fullmatch(host) or (":" in host and ip_address(host)))


def _read_boolean(text: str) -> bool:
    words = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
    words |= {"on": True, "off": False}
    if text.lower() not in words:
        raise ValueError
    return words[text.lower()]


def _read_host(text: str) -> str:
    if not HOST.fullmatch(text):
        ip_address(text)
    return text


def _read_network(text: str) -> str:
    ip_network(text, strict=False)
    return text


def _read_database(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme == "sqlite":
        if not parts.path.strip("/"):
            raise ValueError
        return text
    # Without a host, or with a folder for one, PostgreSQL is asked through its socket.
    socket = not parts.hostname or parts.hostname.startswith("%2f")
    if not socket and not _has_usable_host(parts):
        raise ValueError
    if parts.scheme not in ("postgres", "postgresql") or not parts.path.strip("/"):
        raise ValueError
    others = _options_of(parts).keys() - POSTGRES_OPTIONS
    if {name.lower() for name in others} - DJANGO_OPTIONS:
        raise ValueError
    return text


def _read_redis(text: str) -> str:
    parts = urlsplit(text)
    is_redis = parts.scheme in ("redis", "rediss") and _has_usable_host(parts)
    if not is_redis or parts.fragment or not re.fullmatch(r"/?|/[0-9]{1,9}", parts.path):
        raise ValueError
    options = _options_of(parts)
    if options.keys() - (REDIS_OPTIONS if parts.scheme == "rediss" else set()):
        raise ValueError
    if options.get("ssl_cert_reqs", "none") not in ("required", "optional", "none"):
        raise ValueError
    return text


def _options_of(parts: SplitResult) -> dict[str, str]:
    """Return what is behind `?`. Raises ValueError for one that is there twice or has no value."""
    pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    options = dict(pairs)
    if len(options) < len(pairs) or "" in options.values():
        raise ValueError
    return options


def _read_discovery(text: str) -> str:
    if urlsplit(text).scheme in ("redis", "rediss"):
        return _read_redis(text)
    return str(_DISCOVERY_URL.read(text))


def _read_keys(text: str) -> str:
    ids = []
    for entry in entries(text):
        key_id, _, encoded = entry.partition(":")
        standard = encoded.replace("-", "+").replace("_", "/")
        padded = standard + "=" * (-len(standard) % 4)
        try:
            length = len(base64.b64decode(padded, validate=True))
        except binascii.Error:
            length = 0
        if not KEY_ID.fullmatch(key_id) or length != 32:
            raise ValueError
        ids.append(key_id)
    if len(set(ids)) < len(ids):
        raise ValueError
    return text


def _read_retention(text: str) -> dict[str, int]:
    days: dict[str, int] = {}
    for entry in entries(text):
        name, _, number = (part.strip() for part in entry.partition("="))
        if name not in RETENTION_CLASSES or name in days:
            raise ValueError
        days[name] = whole(1, 36_500).read(number)
    return dict(zip(RETENTION_CLASSES, (7, 30, 365), strict=True)) | days


def _read_directory(text: str) -> str:
    if Path(text).exists() and not Path(text).is_dir():
        raise ValueError
    return text


BOOLEAN = ValueType(_read_boolean, "`true` or `false`")
PORT = whole(1, 65_535)
DAYS = whole(1, 36_500)
DAYS_OR_EVER = whole(0, 36_500)
MOST = whole(1, 1_000_000_000)
ANYTHING = ValueType(str, "any text")
NAME = matching(
    re.compile(r"[^\s:{}]{1,50}"), "1 to 50 characters without spaces, `:`, `{` and `}`"
)
LABEL_TEXT = matching(re.compile(r"[^\x00-\x1f]{1,100}"), "1 to 100 characters")
HOST_NAME = ValueType(_read_host, "a host name or an IP address")
HOSTS = list_of(
    matching(HOST_PATTERN, ""),
    "host names without scheme and port, `.example.org` for all below it, `*` for any",
)
ORIGIN = url("https", "http", path=False)
SENDER = matching(
    re.compile(r"[^\s<>@,]+@[^\s<>@,]+|[^<>@\x00-\x1f]{1,100} <[^\s<>@,]+@[^\s<>@,]+>"),
    "an address, as `hub@example.org` or `The hub <hub@example.org>`",
)
ORIGINS = list_of(url("https", "http", path=False), "such as `https://hub.example.org`")
NETWORKS = list_of(ValueType(_read_network, ""), "networks such as `10.0.0.0/8`")
DATABASE = ValueType(
    _read_database,
    "`postgres://user:password@host:5432/name`, with options of libpq such as `sslmode=require`"
    " behind `?`, or `sqlite:///path`",
)
REDIS = ValueType(
    _read_redis,
    "`redis://host:6379/0`, with the number of the database, or `rediss://host:6379/0`, which may"
    f" have {', '.join(f'`{name}`' for name in sorted(REDIS_OPTIONS))} behind `?`",
)
_DISCOVERY_URL = url("redis", "rediss", "http", "https")
DISCOVERY = ValueType(_read_discovery, _DISCOVERY_URL.words + "; for Redis as in `REDIS_URL`")
KEYS = ValueType(_read_keys, "`key_id:base64 of 32 bytes`, each with an id of its own")
RETENTION = ValueType(
    _read_retention,
    "days from 1 on, as `SHORT=7,STANDARD=30,LONG=365`, each class once",
    is_list=True,
)
DIRECTORY = ValueType(_read_directory, "a directory, or a path where one can be made")
FAILPOINT_PLACE = matching(FAILPOINT, "a place such as `C4`, `C4:3` or `C4@pay`")
LOGIN = matching(USERNAME, "up to 150 letters, digits and `@.+-_`")
