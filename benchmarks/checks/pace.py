"""The pace of checks, in a throw-away PostgreSQL, beside a bare aiohttp loop.

So many HTTP checks a minute of one process, each at an address of its own (127.x.y.z) of one bare
server: how late they are, what they cost, how many transactions. Then the same with a tenth of the
targets hanging, and all of them due at once. The bare loop asks the same addresses, as often, and
writes nothing.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import time
from datetime import timedelta
from typing import Any

from benchmarks.checks.ground import throw_away_database
from benchmarks.testbed.printing import say
from tests.support import servers

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
INTERVAL_SECONDS = 60
HANGING_PATH = b"GET /hangs"
SWEEP_SECONDS = 1.0
MOST_SECONDS_AT_ONCE = 60
HANGS_SECONDS = 6


class BareServer(asyncio.Protocol):
    """Answers whatever is asked at once; of a hanging path, never."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if not data.startswith(HANGING_PATH):
            self.transport.write(ANSWER)


def serve(port: int) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        # Every address of the loopback network leads to the machine itself.
        server = await loop.create_server(BareServer, "0.0.0.0", port, backlog=4096)  # noqa: S104
        await server.serve_forever()

    asyncio.run(run())


def address(number: int, port: int, *, hangs: bool) -> str:
    path = "hangs" if hangs else "up"
    return (
        f"http://127.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}:{port}/{path}"
    )


def measure_pace(options: Any) -> None:
    port = servers.free_port()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(port,), daemon=True)
    server.start()
    try:
        with throw_away_database("checks"):
            measure(options, port)
    finally:
        server.terminate()
        server.join()


def measure(options: Any, port: int) -> None:
    say(f"{options.checks:,} HTTP checks a minute, {options.seconds} s each:")
    say("| | looks | late p50 | late p99 | CPU of a core | transactions/s |")
    say("|---|---|---|---|---|---|")
    for hanging in (0, options.checks // 10):
        make_checks(options.checks, port, hanging=hanging)
        name = "checks, a tenth hangs" if hanging else "checks"
        print_stretch(name, run_stretch(options.seconds), options.seconds)
    say(f"| bare aiohttp loop | {bare_loop(options, port)} | |")
    make_checks(options.checks, port, hanging=0)
    wall, cpu = all_at_once(options.checks)
    say(f"All at once: {wall:.2f} s, {cpu:.2f} CPU s.")


def make_checks(count: int, port: int, *, hanging: int) -> None:
    from django.db.models import F
    from django.utils import timezone

    from monitoring.checks import decide
    from monitoring.models import CheckState, HealthCheck, HealthCheckResult

    for model in (HealthCheckResult, CheckState, HealthCheck):
        model.objects.all()._raw_delete("default")
    checks = [
        HealthCheck(
            name=f"check-{n:05}",
            kind="HTTP",
            url=address(n, port, hangs=n < hanging),
            interval_seconds=INTERVAL_SECONDS,
        )
        for n in range(count)
    ]
    HealthCheck.objects.bulk_create(checks, batch_size=1000)
    now = timezone.now()
    states = [CheckState(health_check=check, since=now) for check in checks]
    for state in states:
        state.next_due_at = decide.next_slot(
            str(state.pk), after=now + timedelta(seconds=2), interval_seconds=INTERVAL_SECONDS
        )
    CheckState.objects.bulk_create(states, batch_size=1000)
    # Storing them took a while, which is not to be the first lateness.
    CheckState.objects.update(next_due_at=F("next_due_at") + (timezone.now() - now))


def run_stretch(seconds: float) -> tuple[float, int]:
    """Sweep once a second; return the CPU seconds of it, and its transactions."""
    from monitoring.checks.sweep import Sweeper

    sweeper = Sweeper()
    cpu, transactions, start = time.process_time(), committed(), time.monotonic()
    for turn in range(int(seconds / SWEEP_SECONDS)):
        sweeper.sweep()
        time.sleep(max(start + (turn + 1) * SWEEP_SECONDS - time.monotonic(), 0))
    spent, done = time.process_time() - cpu, committed() - transactions
    time.sleep(HANGS_SECONDS)  # what hangs comes to its end
    sweeper.sweep()
    return spent, done


def committed() -> int:
    """Return a number that grows by one with each transaction that writes, and each call."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        return int(cursor.fetchone()[0])


def print_stretch(name: str, measured: tuple[float, int], seconds: float) -> None:
    from monitoring.models import HealthCheckResult

    late = sorted(HealthCheckResult.objects.values_list("late_ms", flat=True))
    if len(late) < 2:
        say(f"| {name} | nothing was seen |")
        return
    p99 = statistics.quantiles(late, n=100)[98]
    cpu, done = measured
    say(
        f"| {name} | {len(late):,} | {late[len(late) // 2]} ms | {p99:.0f} ms |"
        f" {cpu / seconds:.1%} | {(done - 1) / seconds:.2f} |"
    )


def bare_loop(options: Any, port: int) -> str:
    """Ask the same addresses as often, and keep nothing; return what it came to."""
    import aiohttp

    count = int(options.checks * options.seconds / 60)
    late: list[float] = []

    async def run() -> None:
        timeout = aiohttp.ClientTimeout(total=5)
        connector = aiohttp.TCPConnector(limit=200)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            loop = asyncio.get_running_loop()
            start, tasks = loop.time(), set()

            async def ask(number: int, due: float) -> None:
                late.append((loop.time() - due) * 1000)
                async with session.get(address(number, port, hangs=False)) as response:
                    await response.read()

            for number in range(count):
                due = start + number * options.seconds / count
                await asyncio.sleep(max(due - loop.time(), 0))
                task = loop.create_task(ask(number, due))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.gather(*tasks)

    cpu = time.process_time()
    asyncio.run(run())
    spent = time.process_time() - cpu
    late.sort()
    p99 = statistics.quantiles(late, n=100)[98]
    return f"{count:,} | {late[count // 2]:.0f} ms | {p99:.0f} ms | {spent / options.seconds:.1%}"


def all_at_once(count: int) -> tuple[float, float]:
    """Have everything due now; return the seconds until all is written, and the CPU seconds."""
    from django.utils import timezone

    from monitoring.checks.sweep import Sweeper
    from monitoring.models import CheckState, HealthCheckResult

    CheckState.objects.update(next_due_at=timezone.now())
    sweeper = Sweeper()
    cpu, start = time.process_time(), time.monotonic()
    while time.monotonic() - start < MOST_SECONDS_AT_ONCE:
        sweeper.sweep()
        if HealthCheckResult.objects.count() >= count:
            break
        time.sleep(0.5)
    seconds, spent = time.monotonic() - start, time.process_time() - cpu
    # What was claimed since is written before the database goes.
    CheckState.objects.update(next_due_at=None)
    time.sleep(HANGS_SECONDS)
    sweeper.sweep()
    return seconds, spent
