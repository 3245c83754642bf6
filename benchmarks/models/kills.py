"""Web processes are killed while models are asked: every answer has its row, and sums are right."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from decimal import Decimal

from benchmarks.models.callers import Door, Line, cost_in
from benchmarks.models.ground import (
    COST_NANOUSD,
    TIMEOUT_SECONDS,
    WHOLE,
    add_model,
    door_of,
    running_provider,
    times_asked,
)
from benchmarks.models.targets import LOST, OPEN, RESERVED, SUM_OFF, WRONG
from benchmarks.web.ground import Bench, InstalledHub
from tests.support.waiting import until

CALLERS, KILLS = 16, 4
SWEEP_SECONDS = 120


def measure_kills(bench: Bench) -> None:
    """So many requests, and now and then all web processes but one are killed."""
    with running_provider() as port, bench.production() as (hub, _):
        add_model(hub, port, timeout_seconds=TIMEOUT_SECONDS)
        told: list[str] = []
        began = time.perf_counter()
        killed = asyncio.run(_ask_under_kills(hub, told, bench.options.requests))
        bench.add("answers a second, with kills", len(told) / (time.perf_counter() - began))
        bench.add("answers", len(told))
        bench.add("web processes killed", killed)
        with contextlib.suppress(AssertionError):
            until(lambda: not _open(), "all is settled", seconds=SWEEP_SECONDS)
        _compare(bench, told, times_asked(port))


async def _ask_under_kills(hub: InstalledHub, told: list[str], count: int) -> int:
    """Note the id and the cost of each answer; return how many processes died."""
    door = door_of(hub)
    asking = [asyncio.create_task(_ask(door, told, count)) for _ in range(CALLERS)]
    killed = 0
    for number in range(KILLS):
        while len(told) < count * (number + 1) / (KILLS + 1):
            await asyncio.sleep(0.02)
        workers = hub.web_workers()
        os.kill(workers[number % len(workers)], signal.SIGKILL)
        killed += 1
    await asyncio.gather(*asking)
    return killed


async def _ask(door: Door, told: list[str], count: int) -> None:
    request, line = door.request(WHOLE), None
    while len(told) < count:
        try:
            line = line or await Line.to(door.port)
            status, head, _ = await line.ask(request)
        except (OSError, EOFError):
            line = None
            await asyncio.sleep(0.05)
            continue
        if status == 200:
            told.append(f"{_id_in(head)} {cost_in(head)}")


def _id_in(head: bytes) -> str:
    name = b"x-model-request-id: "
    return head.lower().partition(name)[2].partition(b"\r\n")[0].decode()


def _open() -> int:
    from model_orchestration.models import Request

    return Request.objects.filter(state="ADMITTED").count()


def _compare(bench: Bench, told: list[str], asked: int) -> None:
    """Hold what callers were told, the rows and the budgets against each other."""
    from django.db.models import Sum

    from model_orchestration.models import QuotaWindow, Request

    costs = dict(Request.objects.values_list("request_id", "cost_nanousd"))
    pairs = [each.split() for each in told]
    bench.add(LOST, sum(key not in costs for key, _ in pairs))
    wrong = [key for key, cost in pairs if costs.get(key) != int(Decimal(cost) * 10**9)]
    settled = Request.objects.filter(state="SETTLED")
    odd = settled.exclude(cost_nanousd=COST_NANOUSD).count()
    bench.add(WRONG, len(wrong) + odd)
    bench.add(OPEN, _open())
    total = Request.objects.aggregate(all=Sum("cost_nanousd"))["all"] or 0
    windows = QuotaWindow.objects.values_list("used_nanousd", "reserved_nanousd")
    bench.add(SUM_OFF, max(abs(total - used) for used, _ in windows))
    bench.add(RESERVED, max(reserved for _, reserved in windows))
    bench.add("requests whose process was killed", Request.objects.filter(state="EXPIRED").count())
    bench.add("times the provider was asked", asked)
