"""Reads of the registry: beside etcd, while it changes, and of one of any size."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Iterator, Mapping, Sequence

import aiohttp

from benchmarks.web.floors import fill_etcd
from benchmarks.web.ground import TYPES, Bench, InstalledHub, fill, names_of, remove, sample
from benchmarks.web.targets import BY_ANY_NAME, BY_NAME, BY_TYPE, GET, HEARTBEATS, PAGE, RANGE, rate
from benchmarks.web.wrk import Request
from tests.support.servers import start_etcd

SERVICES, PER_PAGE = 1_000, 20
PAGE_PATH = f"/discovery/services?per_page={PER_PAGE}"
CHANGES_A_SECOND, WRITERS = 100, 8
SIZES = (100, 1_000, 10_000)


def reads_of(hub: InstalledHub, names: Sequence[str]) -> Mapping[str, list[Request]]:
    return {
        PAGE: hub.requests("GET", [PAGE_PATH]),
        BY_TYPE: hub.requests("GET", [f"/discovery/services/type/{TYPES[0]}"]),
        BY_NAME: hub.requests("GET", [f"/registry/services/{names[0]}"]),
        BY_ANY_NAME: hub.requests("GET", [f"/registry/services/{name}" for name in names]),
    }


def heartbeats_of(hub: InstalledHub, names: Sequence[str]) -> list[Request]:
    return hub.requests("POST", [f"/registry/services/{name}/heartbeat" for name in names], "{}")


def measure_reads(bench: Bench) -> None:
    _measure_beside_etcd(bench, changes=False)


def measure_reads_under_writes(bench: Bench) -> None:
    _measure_beside_etcd(bench, changes=True)


def _measure_beside_etcd(bench: Bench, *, changes: bool) -> None:
    """etcd is asked while nothing else goes on, the hub while its registry changes, if it is to."""
    names = names_of(SERVICES)
    with bench.production() as (hub, _), start_etcd() as etcd:
        fill(hub, names)
        size = sample(hub, PAGE_PATH)
        many, single = fill_etcd(etcd, keys=SERVICES, page=PER_PAGE, page_bytes=size)
        bench.say(f"a page of {PER_PAGE} has {size:,} bytes")
        for _ in bench.rounds():
            bench.load("etcd, range", etcd.url, [many], label=RANGE)
            bench.load("etcd, get", etcd.url, single, label=GET)
            with changing(bench, hub, names) if changes else contextlib.nullcontext():
                for subject, requests in reads_of(hub, names).items():
                    bench.load(subject, hub.url, requests)


# --- Changes ---


@contextlib.contextmanager
def changing(bench: Bench, hub: InstalledHub, names: Sequence[str]) -> Iterator[None]:
    """Change services over the API, a hundred a second, meanwhile; adds the pace reached."""
    ending, done = threading.Event(), list[float]()
    thread = threading.Thread(target=lambda: asyncio.run(_change_all(hub, names, ending, done)))
    began = time.monotonic()
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
    bench.add(rate("changes"), len(done) / (time.monotonic() - began))


async def _change_all(
    hub: InstalledHub, names: Sequence[str], ending: threading.Event, done: list[float]
) -> None:
    began, numbers = time.monotonic(), itertools.count()
    headers = {"Authorization": f"Bearer {hub.key}"}

    async def write(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            if ending.is_set():
                return
            await asyncio.sleep(began + number / CHANGES_A_SECOND - time.monotonic())
            body = {"description": f"Change {number}."}
            url = f"{hub.url}/api/registry/services/{names[number % len(names)]}"
            async with session.patch(url, json=body) as answer:
                if answer.status == 200:
                    done.append(time.monotonic())

    async with aiohttp.ClientSession(headers=headers, trust_env=False) as session:
        await asyncio.gather(*(write(session) for _ in range(WRITERS)))


# --- Candidates and sizes ---


def measure_choose(bench: Bench) -> None:
    with bench.production() as (hub, _):
        fill(hub, names_of(3, "few"), types=["API_GATEWAY"])
        fill(hub, names_of(3_000, "many"), types=["WEB_DASHBOARD"])
        sides = {"of 3 candidates": "API_GATEWAY", "of 3,000 candidates": "WEB_DASHBOARD"}
        for _ in bench.rounds():
            for subject, kind in sides.items():
                path = f"/discovery/services/type/{kind}"
                bench.load(subject, hub.url, hub.requests("GET", [path]))


def measure_growth(bench: Bench) -> None:
    """All sizes in every round; executions are put in once, and all rounds measured beside them."""
    from benchmarks.testbed.finished_executions import fill_finished, make_workflow

    with bench.production() as (hub, _):
        for _ in bench.rounds():
            for size in SIZES:
                names = names_of(size)
                fill(hub, names)
                _measure_size(bench, hub, names, f"{size:,} services")
                remove(hub, names)
        names = names_of(SERVICES)
        fill(hub, names)
        count = bench.options.executions
        bench.say(f"inserting {count:,} executions")
        fill_finished(make_workflow("finished"), first=1, last=count, apart=86_400 / count)
        for _ in bench.rounds():
            _measure_size(bench, hub, names, "1,000 services and many executions")


def _measure_size(bench: Bench, hub: InstalledHub, names: Sequence[str], size: str) -> None:
    subjects = {**reads_of(hub, names), HEARTBEATS: heartbeats_of(hub, names)}
    for subject, requests in subjects.items():
        bench.load(f"{subject}, {size}", hub.url, requests)
