"""Measures a call beyond its bare request, and what a circuit breaker adds: `./dev bench calls`.

Throw-away PostgreSQL with durable commits and Redis; one echo server in a process of its own. The
two sides of each comparison take turns in one run; medians of the rounds are printed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median

from benchmarks.testbed.django_setup import set_up_migrated
from benchmarks.testbed.printing import say
from benchmarks.testbed.servers import start_durable
from tests.support import servers as services

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


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./dev bench calls", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=2000, help="in each round")
    options = parser.parse_args(arguments)
    if missing := services.missing_servers():
        say(f"PostgreSQL and Redis are needed: {missing}.")
        return 1
    with (
        start_durable() as servers,
        tempfile.TemporaryDirectory(prefix="si-bench-") as directory,
        echo_server() as url,
    ):
        say(servers.settings())
        keys = {"CREDENTIAL_KEYS": "bench:" + "A" * 43 + "="}
        set_up_migrated({"DATA_DIR": directory, **keys, **servers.environment()})
        register_echo(url)
        asyncio.run(measure_calls(url, options))
    say("")
    # On a database of its own: settings are read once in a process.
    command = [sys.executable, "-m", "benchmarks.breaker", "--rounds", str(options.rounds)]
    return subprocess.call(command)


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
    from registry.services import Registration, register_service

    secret = {"name": "bench", "type": "API_KEY", "secret": {"key": "k" * 32}}
    create_credential({**secret, "allowed_origins": [url]}, actor="bench")
    action = {"name": "echo", "path": "/echo", "input_schema": SCHEMA, "output_schema": SCHEMA}
    register_service(Registration(name="echo", url=url, actions=[action], credential="bench"))


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


if __name__ == "__main__":
    raise SystemExit(main())
