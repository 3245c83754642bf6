"""A service that answers late: `python -m benchmarks.testbed.slow PORT SECONDS`."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web


async def serve(port: int, seconds: float) -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        body = await request.read()
        await asyncio.sleep(seconds)
        return web.Response(body=body, content_type="application/json")

    runner = web.ServerRunner(web.Server(answer, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
