"""Addresses that must not be called, in every way that they can be written."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

IPV4 = (
    "127.0.0.1", "127.0.0.2", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1",
    "192.168.1.1", "100.64.0.1", "169.254.169.254", "169.254.170.2", "100.100.100.200",
    "168.63.129.16", "192.0.0.192", "192.0.2.1", "198.18.0.1", "203.0.113.9", "224.0.0.1",
    "239.255.255.250", "240.0.0.1", "255.255.255.255",
)  # fmt: skip
IPV6 = (
    "::", "::1", "0:0:0:0:0:0:0:1", "0000:0000:0000:0000:0000:0000:0000:0001", "fe80::1",
    "fe80::1%25lo", "fe80::1%lo", "febf::1", "fec0::1", "fc00::1", "fd00::1", "fd00:ec2::254",
    "fd20:ce::254", "ff02::1", "ff0e::1", "100::1", "2001:db8::1", "2001:2::1", "2001:10::1",
)  # fmt: skip
SCHEMES = ("file", "ftp", "gopher", "ws", "wss", "dict", "ldap", "unix", "data", "javascript")
NAMES = (
    "localhost", "LOCALHOST", "localhost.", "localhost.localdomain", "internal.example",
    "127.0.0.1.nip.example", "metadata.google.internal", "rebound.example", "mixed.example",
)  # fmt: skip


def hostile_urls(port: int) -> list[str]:
    """Every one of them, at that port."""
    urls = [f"http://{host}:{port}/" for text in IPV4 for host in _spellings(IPv4Address(text))]
    urls += [f"http://[{text}]:{port}/" for text in IPV6]
    urls += [f"{scheme}://127.0.0.1:{port}/" for scheme in SCHEMES]
    urls += [f"{scheme}://{name}:{port}/" for name in NAMES for scheme in ("http", "https")]
    urls += _confusions(port)
    return list(dict.fromkeys(urls))


def _spellings(address: IPv4Address) -> Iterator[str]:
    """Ways to write an address that some resolver or parser understands."""
    number, octets = int(address), [int(part) for part in str(address).split(".")]
    a, b, c, d = octets
    yield from (str(address), f"{address}.", str(number), hex(number), f"0{number:o}")
    yield hex(number).upper().replace("0X", "0x")
    yield ".".join(hex(part) for part in octets)
    yield ".".join(f"0{part:o}" for part in octets)
    yield ".".join(f"{part:04d}" for part in octets)
    yield f"{a}.{b}.{c * 256 + d}"
    yield f"{a}.{b * 65536 + c * 256 + d}"
    yield f"{hex(a)}.{b}.0{c:o}.{d}"
    yield str(address).translate({48 + n: 0xFF10 + n for n in range(10)})
    yield str(address).replace(".", "。")
    yield str(address).replace(".", "%2e")
    yield "%" + f"{ord(str(a)[0]):x}" + str(address)[1:]
    for form in _inside_ipv6(number):
        yield f"[{form}]"
    yield f"[::ffff:{address}]"
    yield f"[64:ff9b::{address}]"
    yield f"[0:0:0:0:0:ffff:{address}]"
    yield f"[::ffff:0:{address}]"


def _inside_ipv6(number: int) -> Iterator[IPv6Address]:
    """Mapped, compatible, NAT64, locally translated, 6to4, and Teredo."""
    yield IPv6Address((0xFFFF << 32) + number)
    yield IPv6Address(number or 1)
    yield IPv6Address((0x64FF9B << 96) + number)
    yield IPv6Address((0x64FF9B0001 << 80) + number)
    yield IPv6Address((0x2002 << 112) + (number << 80))
    yield IPv6Address((0x2002 << 112) + (number << 80) + 1)
    yield IPv6Address((0x20010000 << 96) + (number ^ 0xFFFFFFFF))


def _confusions(port: int) -> list[str]:
    """URLs of which parsers disagree where the host is."""
    good, bad = "good.example", f"127.0.0.1:{port}"
    return [
        f"http://{good}@{bad}/", f"http://{good}:80@{bad}/", f"http://user:pass@{bad}/",
        f"http://@{bad}/", f"http://:@{bad}/", f"http://{good}%40{bad}/", f"http://{bad}\\@{good}/",
        f"http://{bad}#@{good}/", f"http://{bad}?@{good}/", f"http://{bad}/@{good}",
        f"http://{bad};@{good}/", f"http://{good} @{bad}/", f"http://\t{bad}/", f"http://{bad}\r\n/",
        f"http://127.0.0.1%00.{good}:{port}/", f"http://127.0.0.1%20:{port}/", f"http:///{bad}/",
        f"http:{bad}/", f"http:/{bad}/", f"//{bad}/", f"{bad}/", "http://", "http://:80/", "",
        f"http://[{bad}]/", f"http://[::1/:{port}", f"http://::1:{port}/", f"http://[::1]:{port}@x/",
        "http://127.0.0.1:0/", "http://127.0.0.1:65536/", "http://127.0.0.1:99999/",
        "http://127.0.0.1:-1/", "http://127.0.0.1:abc/", f"http://.127.0.0.1:{port}/",
        f"http://127..0.0.1:{port}/", f"http://127.0.0.1..:{port}/", f"http://{'a' * 300}:{port}/",
        f"HTTP://{bad}/", f"hTtP://{bad}/", f"http://127.1.:{port}/", f"http://0:{port}/",
        f"http://0x:{port}/", f"http://00000000177.0.0.1:{port}/", f"http://①②⑦.0.0.1:{port}/",
        f"http://ⓛocalhost:{port}/", f"http://localhost%E3%80%82:{port}/",
    ]  # fmt: skip
