"""What is measured at the door to models."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

from benchmarks.models import callers, wrk_load
from benchmarks.models.callers import Door, paced, streams
from benchmarks.models.ground import (
    WHOLE,
    add_model,
    direct,
    door_of,
    running_provider,
    streamed,
)
from benchmarks.models.peer import running_peer
from benchmarks.models.targets import (
    BROKEN_STREAMS,
    CALLERS,
    FIRST_PIECE,
    HUB,
    PEER,
    PEER_FIRST_PIECE,
    RATE,
    STREAMS_MEGABYTES,
    added,
    asked_by_many,
)
from benchmarks.testbed.hub import percentile
from benchmarks.web.ground import Bench, InstalledHub, megabytes

PERCENTS = (50, 95, 99)
FEW_STREAMS, PIECES, PAUSE_MS = 4, 100, 10
SETTLE_SECONDS = 2


@contextlib.contextmanager
def _hub(bench: Bench, port: int) -> Iterator[InstalledHub]:
    with bench.production() as (hub, _):
        add_model(hub, port)
        yield hub


@contextlib.contextmanager
def _doors(bench: Bench) -> Iterator[tuple[Door, dict[str, Door], InstalledHub]]:
    """Run what is compared; yield the provider's own door, and the others by their names."""
    with running_provider() as port, _hub(bench, port) as hub, running_peer(bench, port) as peer:
        doors = {HUB: door_of(hub)}
        if peer is not None:
            doors[PEER] = peer
        yield direct(port), doors, hub


def measure_latency(bench: Bench) -> None:
    """Requests at an even pace, and pieces of a few streams: what each door adds to the provider.

    The provider itself, asked by the same callers, is subtracted, percentile by percentile.
    """
    seconds = bench.options.seconds
    with _doors(bench) as (provider, doors, _):
        for door in doors.values():  # what is first costs more, everywhere
            asyncio.run(paced(door, WHOLE, rate=RATE / 2, seconds=SETTLE_SECONDS))
        for _ in bench.rounds():
            base = asyncio.run(paced(provider, WHOLE, rate=RATE, seconds=seconds))
            for name, door in doors.items():
                took = asyncio.run(paced(door, WHOLE, rate=RATE, seconds=seconds))
                for percent in PERCENTS:
                    own, other = (percentile(each, percent / 100) for each in (took, base))
                    bench.add(added(name, percent), own - other)
            _measure_pieces(bench, provider, doors)


def _measure_pieces(bench: Bench, provider: Door, doors: dict[str, Door]) -> None:
    """Of a few streams, how much later than from the provider each piece comes."""
    base = _piece_ms(provider)
    bench.add(FIRST_PIECE, _piece_ms(doors[HUB]) - base)
    if PEER in doors:
        bench.add(PEER_FIRST_PIECE, _piece_ms(doors[PEER]) - base)


def _piece_ms(door: Door) -> float:
    came = asyncio.run(streams(door, streamed(PIECES, PAUSE_MS), count=FEW_STREAMS))
    return percentile([wait for each in came for wait in each.waits_ms], 0.5)


def measure_throughput(bench: Bench) -> None:
    """Callers who each send the next request as soon as they have their answer."""
    with _doors(bench) as (provider, doors, hub):
        for _ in bench.rounds():
            base = wrk_load.send(provider, WHOLE, callers=CALLERS, seconds=bench.options.seconds)
            bench.add(asked_by_many("the provider itself"), base.rate)
            for name, door in doors.items():
                before, began = hub.cpu_seconds(), time.perf_counter()
                came = wrk_load.send(door, WHOLE, callers=CALLERS, seconds=bench.options.seconds)
                bench.add(asked_by_many(name), came.rate)
                bench.add(f"{name}, {CALLERS} callers, p99 ms", came.p99_ms)
                bench.add(f"{name}, failed", came.failed)
                if name == HUB and came.answered:
                    cpu = hub.cpu_seconds() - before
                    bench.add("CPU ms of the hub for each", cpu / came.answered * 1000)
                    bench.add("cores of the hub", cpu / (time.perf_counter() - began))


def measure_streams(bench: Bench) -> None:
    """Many streams at once, a piece a second each: memory, and whether all came whole."""
    count, seconds = bench.options.streams, bench.options.stream_seconds
    with running_provider() as port, _hub(bench, port) as hub:
        bench.add("MB before", megabytes(hub.web_tree()))
        for _ in bench.rounds():
            came, most = asyncio.run(_hold(hub, count, seconds))
            bench.add(STREAMS_MEGABYTES, most)
            whole = [each for each in came if each.is_whole]
            bench.add(BROKEN_STREAMS, count - len(whole))
            waits = [wait for each in came for wait in each.waits_ms]
            bench.add(f"a piece in {count:,} streams, p50 ms", percentile(waits, 0.5))
            bench.add(f"a piece in {count:,} streams, p99 ms", percentile(waits, 0.99))


async def _hold(
    hub: InstalledHub, count: int, seconds: float
) -> tuple[list[callers.Streamed], float]:
    """Return what came of the streams, and the most memory meanwhile."""
    body = streamed(int(seconds), 1000)
    open_streams = asyncio.ensure_future(streams(door_of(hub), body, count=count))
    most = 0.0
    while not open_streams.done():
        await asyncio.wait([open_streams], timeout=2)
        most = max(most, await asyncio.to_thread(megabytes, hub.web_tree()))
    return await open_streams, most
