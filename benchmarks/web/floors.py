"""What the hub is held against: etcd behind its JSON gateway, and bare loops of one statement."""

from __future__ import annotations

import base64
import itertools
import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import httpx2
import psycopg
import redis

from benchmarks.web.wrk import Request
from tests.support.servers import Etcd

UPDATE = (
    "UPDATE service_instance SET last_heartbeat_at = now(), expires_at = now() + interval '90 s'"
    " WHERE id = %s"
)
Write = Callable[[str], object]


# --- etcd ---


def fill_etcd(
    etcd: Etcd, *, keys: int, page: int, page_bytes: int
) -> tuple[Request, list[Request]]:
    """Put in so many keys that a range of a page answers so many bytes; return range and gets."""
    names = [f"bench/{number:05}" for number in range(keys)]
    with httpx2.Client(base_url=etcd.url) as client:
        _put_all(client, names[:page], 1)
        everything = Request("POST", "/v3/kv/range", "", _range(names[0], "bench0", page))
        empty = len(client.post(everything.path, content=everything.body).content)
        # Base64 makes four bytes of three.
        _put_all(client, names, max(1, (page_bytes - empty) * 3 // 4 // page))
    return everything, [Request("POST", "/v3/kv/range", "", _range(name)) for name in names]


def _put_all(client: httpx2.Client, names: Sequence[str], size: int) -> None:
    for name in names:
        body = {"key": _encode(name), "value": _encode("v" * size)}
        client.post("/v3/kv/put", json=body).raise_for_status()


def _range(first: str, end: str = "", limit: int = 0) -> str:
    more = {"range_end": _encode(end), "limit": limit} if end else {}
    return json.dumps({"key": _encode(first), **more})


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# --- Loops of one statement ---


class BareLoop:
    """Callers in threads of one other process, each with a connection of its own."""

    def __init__(self, server: str, names: Sequence[str], callers: int) -> None:
        """`server` is a DSN of PostgreSQL, whose instances are then updated, or a URL of Redis."""
        self._pool = ProcessPoolExecutor(1, get_context("spawn"))
        self._work = (server, names, callers)

    def rate(self, seconds: float) -> float:
        """Return the writes a second, each committed before the next of its caller begins."""
        return self._pool.submit(_write_for, *self._work, seconds).result() / seconds

    def stop(self) -> None:
        self._pool.shutdown()


def _write_for(server: str, names: Sequence[str], callers: int, seconds: float) -> int:
    counts: list[int] = []
    ready = threading.Barrier(callers)  # connections are open before the time begins

    def work(own: Sequence[str]) -> None:
        write, turns, count = _open(server), itertools.cycle(own), 0
        ready.wait()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            write(next(turns))
            count += 1
        counts.append(count)

    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(work, (names[n::callers] for n in range(callers))))
    return sum(counts)


def _open(server: str) -> Write:
    if server.startswith("redis://"):
        client = redis.Redis.from_url(server)
        return lambda name: client.setex(f"bare:{name}", 90, "{}")
    connection = psycopg.connect(server, autocommit=True)
    return lambda name: connection.execute(UPDATE, [name], prepare=True)
