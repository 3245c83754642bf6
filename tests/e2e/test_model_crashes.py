"""Web processes that are killed while models answer: what was reserved is settled by lease."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aiohttp import web

from tests.support.model_providers import chunk, provider_server
from tests.support.real_hub import Hub
from tests.support.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.on_servers, pytest.mark.slow]
CALLS = 10
# After the deadline of a request, a minute passes until its lease is over.
TIMEOUT_SECONDS, LEASE_SECONDS, SWEEP_SECONDS = 5, 65, 60


async def never_ending(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """Answer half of the calls not at all, and streams with a piece and then nothing."""
    if body.get("stream"):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(f"data: {json.dumps(chunk('a'))}\n\n".encode())
    await asyncio.sleep(3600)
    raise AssertionError


def test_calls_of_a_killed_process_are_charged_in_full_when_their_lease_is_over(hub: Hub) -> None:
    with provider_server(never_ending) as provider:
        hub.post("/registry/connections", {
            "name": "slow", "type": "HTTP", "base_url": provider.url, "check_interval_seconds": 0,
        })  # fmt: skip
        hub.post("/models", {
            "model_id": "slow", "provider": "CUSTOM", "connection": "slow", "max_tokens": 10,
            "capabilities": ["CHAT"], "cost_per_token": 0.001,
            "configuration": {"timeout_seconds": TIMEOUT_SECONDS},
        })  # fmt: skip
        budget = hub.post("/models/budgets", {
            "name": "all", "scope": "ALL", "period": "MONTH", "cost_limit": 100,
        })  # fmt: skip
        with ThreadPoolExecutor(CALLS) as pool:
            asking = [pool.submit(ask, hub, stream=bool(number % 2)) for number in range(CALLS)]
            until(lambda: len(provider.received) == CALLS, "all are sent", tail=hub.tail)
            for process in web_processes(hub):
                os.kill(process, signal.SIGKILL)
            hub.web.wait()
            assert all(each.result() is None for each in asking)
        hub.web = hub.run("gunicorn integration_site.asgi")
        until(hub.is_ready, "the hub is ready", tail=hub.tail)
        hub.connect()
        rows = hub.get("/models/requests", state="ADMITTED")["items"]
        assert len(rows) == CALLS
        until(
            lambda: not hub.get("/models/requests", state="ADMITTED")["items"],
            "their leases are over", seconds=LEASE_SECONDS + SWEEP_SECONDS, tail=hub.tail,
        )  # fmt: skip
        rows = hub.get("/models/requests", state="EXPIRED")["items"]
        assert {row["usage_source"] for row in rows} == {"ESTIMATED"}
        standing = hub.get(f"/models/budgets/{budget['id']}/standing")
        assert standing["cost"]["reserved"] == 0
        assert standing["cost"]["used"] == pytest.approx(sum(row["cost"] for row in rows))
        assert standing["requests"]["used"] == CALLS
        assert hub.run("python manage.py check_model_budgets").wait() == 0, hub.tail()


def ask(hub: Hub, *, stream: bool) -> int | None:
    """Return the status of a whole answer; None where it broke off."""
    try:
        return httpx2.post(
            f"{hub.url}/v1/chat/completions", timeout=60,
            json={"model": "slow", "stream": stream,
                  "messages": [{"role": "user", "content": "Say hello."}]},
            headers={"Authorization": f"Bearer {hub.key}"},
        ).status_code  # fmt: skip
    except httpx2.HTTPError:
        return None


def web_processes(hub: Hub) -> list[int]:
    """Return the processes of the web, the first of them first: nobody starts new ones."""
    first = hub.web.pid
    children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    return [first, *map(int, children)]
