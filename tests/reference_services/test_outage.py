"""A service that is told to stop for a while: it dies, and comes back when the time is over."""

import asyncio

import aiohttp

from reference_services.outage import PATH, Outage
from tests.reference_services.test_processes import (
    SmallHub,
    health,
    read_lines,
    running,
    until_refused,
)
from tests.support.waiting import PATIENCE


async def test_outage_is_answered_then_the_process_dies(start_service, tmp_path):
    now, died = [1000.0], asyncio.Event()
    path = tmp_path / "outage"
    outage = Outage(path, clock=lambda: now[0], die=died.set)
    client = await start_service("text-summarization", outage=outage)
    refused = await client.post(PATH, json={"seconds": 1})
    assert refused.status == 400 and "seconds" in (await refused.json())["errors"]
    assert outage.seconds_left() == 0

    answer = await client.post(PATH, json={"seconds": 60})
    assert await answer.json() == {"away_for_seconds": 60}
    async with asyncio.timeout(PATIENCE):
        await died.wait()
    assert outage.seconds_left() == 60
    now[0] += 61
    assert outage.seconds_left() == 0


async def test_service_stays_away_and_is_registered_with_the_action(tmp_path):
    hub = SmallHub()
    async with hub.server:
        options = ["--data-dir", str(tmp_path), "--hub", str(hub.server.make_url("/api"))]
        async with running("tool-integration", *options) as process:
            url = (await read_lines(process, 1))["tool-integration"]
            assert "stop_for_a_while" in {
                action["name"] for action in hub.registered["tool-integration"]["actions"]
            }
            async with aiohttp.ClientSession() as session:
                await session.post(f"{url}{PATH}", json={"seconds": 5})
            async with asyncio.timeout(PATIENCE):
                assert await process.wait() == 1
        assert hub.statuses == {}  # it signed off with no word
        async with running("tool-integration", *options) as process:
            line = (await process.stdout.readline()).decode()
            assert "stays away" in line
            await until_refused(url)
            assert await health((await read_lines(process, 1))["tool-integration"]) == "healthy"
