"""Thousands of calls at once, over real sockets."""

import asyncio
import gc
import os
import sys

from aiohttp import web

from service_integration_client import AsyncServiceIntegrationClient

CALLS = 5000
SHORT_TIMEOUT_SECONDS = 20


async def serve() -> tuple[web.AppRunner, str]:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"id": "w"})

    app = web.Application()
    app.router.add_get("/api/workflows/w", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/api"


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def ask(client: AsyncServiceIntegrationClient, count: int) -> int:
    """Thousands of calls at once; gives the memory blocks in use when all of them are over."""
    answers = await asyncio.gather(*(client.get_workflow("w") for _ in range(count)))
    assert len(answers) == count
    del answers
    for _ in range(3):
        await asyncio.sleep(0)
    gc.collect()
    return sys.getallocatedblocks()


async def test_thousands_of_concurrent_calls_leak_no_sockets_and_no_memory():
    runner, url = await serve()
    before = descriptors()
    async with AsyncServiceIntegrationClient(url, SHORT_TIMEOUT_SECONDS) as client:
        blocks = await ask(client, 1000)  # pools, caches and tables grow to their size
        kept = await ask(client, CALLS) - blocks
    await runner.cleanup()
    assert descriptors() <= before
    # One block kept per call would be a leak; a tenth of that is noise.
    assert kept < CALLS / 10, f"{kept} blocks stay"
