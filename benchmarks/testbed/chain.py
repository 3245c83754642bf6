"""The parts that all contestants share: the payload, the leanest client, and how a share is timed.

Uses the standard library only, since the peers run in environments of their own.
"""

from __future__ import annotations

import http.client
import itertools
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

PAYLOAD = {"text": "The new release is fast and we are very happy with it."}
STEPS = 5

Call = Callable[[str], str]


@dataclass(frozen=True)
class Stretch:
    """A measured run: begin and end by the machine's clock, CPU seconds, each chain's seconds."""

    began: float
    ended: float
    cpu_seconds: float
    chain_seconds: tuple[float, ...]


def merge_stretches(parts: Iterable[Stretch]) -> Stretch:
    """Return several processes' parts as one."""
    parts = list(parts)
    return Stretch(
        began=min(part.began for part in parts),
        ended=max(part.ended for part in parts),
        cpu_seconds=sum(part.cpu_seconds for part in parts),
        chain_seconds=tuple(itertools.chain(*(part.chain_seconds for part in parts))),
    )


def split_evenly(count: int, among: int) -> list[int]:
    return [count // among + (number < count % among) for number in range(among)]


def open_connection(url: str) -> Call:
    """Return a function that posts a JSON text over its own connection, and returns the answer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    headers = {"Content-Type": "application/json"}

    def post(body: str) -> str:
        connection.request("POST", parts.path, body, headers)
        return connection.getresponse().read().decode()

    return post


_of_thread = threading.local()


def call_from_thread(url: str, body: str) -> str:
    """Post over the connection that this thread keeps to this address."""
    connections = _of_thread.__dict__
    if url not in connections:
        connections[url] = open_connection(url)
    return connections[url](body)
