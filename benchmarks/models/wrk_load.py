"""The load of `benchmarks.web.wrk` at a door to a model."""

from __future__ import annotations

from benchmarks.models.callers import Door
from benchmarks.web import wrk
from benchmarks.web.wrk import Load, Request


def send(door: Door, body: bytes, *, callers: int, seconds: float) -> Load:
    """Send one request again and again, each caller the next as soon as it has its answer."""
    request = Request("POST", door.path, door.key, body.decode())
    url = f"http://127.0.0.1:{door.port}"
    return wrk.send(url, [request], callers=callers, seconds=seconds)
