"""Measures a call beyond its bare request, and the rate of heartbeats: `./dev bench calls`.

Throw-away PostgreSQL with durable commits and Redis; one echo server in a process of its own. The
two sides of each comparison take turns in one run; medians of the rounds are printed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median
from typing import Any

from benchmarks import breaker
from benchmarks.testbed.django_setup import OF_A_HUB, set_up_migrated
from benchmarks.testbed.printing import say
from benchmarks.testbed.servers import Durable, start_durable
from tests.support import servers as services

INSTANCES = 200
THREADS = 8
DOCUMENT = {"text": "A short text to look at.", "language": "en", "limit": 10}
SCHEMA = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "maxLength": 1000},
        "language": {"type": "string", "enum": ["en", "de", "fr"]},
        "limit": {"type": "integer", "minimum": 1},
    },
    "required": ["text"],
    "additionalProperties": False,
}
PARTS = ("call", "database", "redis", "breaker")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./dev bench calls", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=2000, help="in each round")
    parser.add_argument("--seconds", type=float, default=2.0, help="of beats in each round")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.part:
        return run_part(options)
    if missing := services.missing_servers():
        say(f"PostgreSQL and Redis are needed: {missing}.")
        return 1
    with start_durable() as servers, tempfile.TemporaryDirectory(prefix="si-bench-") as directory:
        say(servers.settings())
        return max(start_part(part, servers, directory, options) for part in PARTS)


def start_part(part: str, servers: Durable, directory: str, options: argparse.Namespace) -> int:
    """Measure in a process of its own: settings are read once."""
    if part == "breaker":
        say("")
        return breaker.main(["--rounds", str(options.rounds)])
    environment = {k: v for k, v in os.environ.items() if not k.startswith(OF_A_HUB)}
    environment |= servers.environment() | {
        "DATA_DIR": directory,
        "SECRET_KEY": "for-the-benchmark",
        "CREDENTIAL_KEYS": "bench:" + "A" * 43 + "=",
        "DJANGO_SETTINGS_MODULE": "integration_site.settings",
        "SERVICE_DISCOVERY_BACKEND": "redis" if part == "redis" else "database",
    }
    command = [sys.executable, "-m", "benchmarks.calls", "--part", part]
    command += ["--rounds", str(options.rounds), "--calls", str(options.calls)]
    command += ["--seconds", str(options.seconds)]
    return subprocess.call(command, env=environment)


def run_part(options: argparse.Namespace) -> int:
    set_up_migrated(dict(os.environ))
    if options.part == "call":
        with echo_server() as url:
            register_echo(url)
            asyncio.run(measure_calls(url, options))
    else:
        measure_beats(options)
    return 0


# --- One call -------------------------------------------------------------------------------------


@contextmanager
def echo_server() -> Iterator[str]:
    """Run a server in a process of its own that answers what it is sent; yield its URL."""
    port = services.free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.testbed.echo", str(port)])
    try:
        address = ("127.0.0.1", port)
        services.wait_until_answers(process, lambda: socket.create_connection(address).close())
        yield f"http://127.0.0.1:{port}"
    finally:
        services.stop(process, signal.SIGTERM)


def register_echo(url: str) -> None:
    """Register the echo as a service with schemas, a circuit breaker and a credential."""
    from registry.credentials.lifecycle import create_credential
    from registry.services.lifecycle import Registration, register_service

    secret = {"name": "bench", "type": "API_KEY", "secret": {"key": "k" * 32}}
    create_credential({**secret, "allowed_origins": [url]}, actor="bench")
    action = {"name": "echo", "path": "/echo", "input_schema": SCHEMA, "output_schema": SCHEMA}
    register_service(
        Registration(name="echo", url=url, actions=[action], credential="bench"), actor="bench"
    )


async def measure_calls(url: str, options: argparse.Namespace) -> None:
    import aiohttp

    from registry.calls.client import ServiceClient
    from registry.calls.targets.resolver import CallTarget

    client, target = ServiceClient(), CallTarget("service", "echo")
    async with aiohttp.ClientSession(trust_env=False) as session:

        async def bare() -> object:
            body = json.dumps(DOCUMENT).encode()
            headers = {"Content-Type": "application/json"}
            async with session.post(f"{url}/echo", data=body, headers=headers) as answer:
                return json.loads(await answer.read())

        async def full() -> object:
            return (await client.call(target, "echo", DOCUMENT)).output

        async def resolve() -> object:
            return await client.resolver_cache.find(target, "echo")

        assert await bare() == await full() == DOCUMENT
        plain, through, resolved = [], [], []
        for _ in range(options.rounds):
            plain.append(await cpu_of(bare, options.calls))
            through.append(await cpu_of(full, options.calls))
            resolved.append(await cpu_of(resolve, options.calls * 5))
    await client.close()
    added = median(b - a for a, b in zip(plain, through, strict=True))
    say(f"\nCPU of one call, and of a resolution from the cache; {options.calls} in turn a round\n")
    say(f"  bare aiohttp           {median(plain):.3f} ms")
    say(f"  ServiceClient          {median(through):.3f} ms")
    say(f"  added                  {added:.3f} ms   (at most 0.35)")
    say(f"  resolution             {median(resolved) * 1000:.1f} µs   (at most 10)")


async def cpu_of(call: Callable[[], Awaitable[object]], times: int) -> float:
    """Return the milliseconds of this process's CPU, all threads, for one of so many calls."""
    started = time.process_time()
    for _ in range(times):
        await call()
    return (time.process_time() - started) / times * 1000


# --- Heartbeats -----------------------------------------------------------------------------------


def measure_beats(options: argparse.Namespace) -> None:
    """Print the beats per second that the hub's code takes, beside the bare write under it."""
    names = [f"beating-{number}" for number in range(INSTANCES)]
    register_beating(names)
    sides: Mapping[str, Callable[[str], None]]
    if options.part == "database":
        sides = {"bare UPDATE and COMMIT": bare_update(), "heartbeat": beat}
    else:
        sides = {"bare SETEX": bare_setex(), "heartbeat": beat}
    rates: dict[str, list[float]] = {name: [] for name in sides}
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(options.rounds):
            for name, work in sides.items():
                rates[name].append(rate_of(pool, work, names, options.seconds))
    store = "PostgreSQL" if options.part == "database" else "the redis strategy"
    say(f"\nHeartbeats on {store}, {THREADS} threads over {INSTANCES} services\n")
    (bare, floor), (name, hub) = rates.items()
    ratio = median(b / a for a, b in zip(floor, hub, strict=True))
    say(f"  {bare:<23}{median(floor):,.0f} a second")
    say(f"  {name:<23}{median(hub):,.0f} a second   {ratio:.2f} x")


def register_beating(names: Sequence[str]) -> None:
    from registry.services.lifecycle import Registration, register_service

    for number, name in enumerate(names):
        register_service(
            Registration(name=name, url=f"http://127.0.0.1:{20000 + number}"), actor="b"
        )


def beat(name: str) -> None:
    """Do what the API does with `POST /registry/services/{name}/heartbeat`, without its HTTP."""
    from registry.services.heartbeats import Heartbeat, beat_service

    beat_service(name, Heartbeat())


def bare_update() -> Callable[[str], None]:
    from django.db import connection

    def update(name: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE service_instance SET last_heartbeat_at = now() FROM registered_service s"
                " WHERE s.id = service_instance.service_id AND s.name = %s",
                [name],
            )

    return update


def bare_setex() -> Callable[[str], None]:
    import redis

    server = redis.Redis.from_url(os.environ["REDIS_URL"])

    def setex(name: str) -> None:
        server.set(f"bare:{name}", "{}", ex=30)

    return setex


def rate_of(
    pool: ThreadPoolExecutor, work: Callable[[str], None], names: Sequence[str], seconds: float
) -> float:
    """Return how often a second the threads do the work, each on names of its own."""

    def run(own: Sequence[str]) -> int:
        count = 0
        while time.perf_counter() < until:
            for name in own:
                work(name)
            count += len(own)
        return count

    until = time.perf_counter() + seconds
    started = time.perf_counter()
    parts: list[Any] = [pool.submit(run, names[n::THREADS]) for n in range(THREADS)]
    total = sum(part.result() for part in parts)
    return total / (time.perf_counter() - started)


if __name__ == "__main__":
    raise SystemExit(main())
