"""Thousands of calls at once, over real sockets."""

import asyncio
import gc
import os
import tracemalloc

from aiohttp import web

from service_integration_client import AsyncServiceIntegrationClient

CALLS = 5000
SHORT_TIMEOUT_SECONDS = 20
# A request with its answer and task; what stays is tables that grew in the loop and the server.
BYTES_OF_A_KEPT_CALL = 2000


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
    """So many calls at once; answers how many were answered, when the loop has let go of them."""
    answered = len(await asyncio.gather(*(client.get_workflow("w") for _ in range(count))))
    for _ in range(3):
        await asyncio.sleep(0)
    return answered


async def test_thousands_of_concurrent_calls_leak_no_sockets_and_no_memory():
    runner, url = await serve()
    before = descriptors()
    async with AsyncServiceIntegrationClient(url, SHORT_TIMEOUT_SECONDS) as client:
        await ask(client, 500)
        gc.collect()
        tracemalloc.start()
        assert await ask(client, CALLS) == CALLS
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    await runner.cleanup()
    assert descriptors() <= before
    assert kept < BYTES_OF_A_KEPT_CALL * CALLS / 4, f"{kept} bytes stay"
