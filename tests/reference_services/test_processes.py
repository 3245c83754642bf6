"""The services as real processes, and a small hub that takes their registrations."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from reference_services.fleet import backoff_seconds
from reference_services.services import SERVICES
from tests.support.waiting import PATIENCE

ROOT = Path(__file__).parents[2]


def environment(**more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SERVICE_INTEGRATION_")}
    return {**kept, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'client' / 'src'}", **more}


async def start(*arguments, **more):
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "reference_services",
        *arguments,
        cwd=ROOT,
        env=environment(**more),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@contextlib.asynccontextmanager
async def running(*arguments, **more):
    process = await start(*arguments, **more)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def read_lines(process, count):
    """So many lines of a process; for a service line its name and URL."""
    found: dict[str, str] = {}
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            words = (await process.stdout.readline()).decode().split()
            assert words, (await process.stderr.read()).decode()
            found[words[0]] = words[-1]
    return found


async def health(url):
    async with aiohttp.ClientSession() as session, session.get(f"{url}/health") as answer:
        return (await answer.json())["status"]


async def until_refused(url):
    async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{url}/health"):
                    await asyncio.sleep(0.05)
            except aiohttp.ClientError:
                return


class SmallHub:
    """Takes registrations and heartbeats."""

    def __init__(self):
        self.registered = {}
        self.statuses = {}
        self.keys = set()
        app = web.Application()
        app.router.add_post("/api/registry/services", self._register)
        app.router.add_post("/api/registry/services/{id}/heartbeat", self._beat)
        self.server = TestServer(app)

    async def _register(self, request):
        body = await request.json()
        self.registered[body["name"]] = body
        self.keys.add(request.headers.get("Authorization"))
        return web.json_response({**body, "id": body["name"]}, status=201)

    async def _beat(self, request):
        self.statuses[request.match_info["id"]] = (await request.json()).get("status")
        return web.json_response({"id": request.match_info["id"]})


async def test_list_prints_the_names():
    async with running("--list") as process:
        printed, _ = await process.communicate()
    assert printed.decode().split() == list(SERVICES)


async def test_service_registers_serves_and_signs_off(tmp_path):
    hub = SmallHub()
    async with hub.server:
        options = ["--data-dir", str(tmp_path), "--hub", str(hub.server.make_url("/api"))]
        async with running("planning-system", *options, "--api-key", "k") as process:
            url = (await read_lines(process, 1))["planning-system"]
            assert await health(url) == "healthy"
            process.terminate()
            async with asyncio.timeout(PATIENCE):
                assert await process.wait() == 0

    registered = hub.registered["planning-system"]
    assert registered["url"] == url
    assert registered["health_url"] == f"{url}/health"
    assert registered["type"] == "PLANNING_SYSTEM"
    assert len(registered["actions"]) == 3
    assert hub.keys == {"Bearer k"}
    assert hub.statuses == {"planning-system": "OFFLINE"}


async def test_service_starts_without_its_hub_and_keeps_its_port(tmp_path):
    options = ["planning-system", "--data-dir", str(tmp_path), "--hub", "http://127.0.0.1:9/api"]
    urls = []
    for _ in range(2):
        async with running(*options) as process:
            urls.append((await read_lines(process, 1))["planning-system"])
            assert await health(urls[-1]) == "healthy"
    assert urls[0] == urls[1]


async def test_taken_port_is_explained(tmp_path):
    async with running("planning-system", "--data-dir", str(tmp_path)) as first:
        port = (await read_lines(first, 1))["planning-system"].rpartition(":")[2]
        options = ["--data-dir", str(tmp_path / "b"), "--port", port]
        async with running("web-dashboard", *options) as second:
            _, said = await second.communicate()
    assert second.returncode == 1
    assert f"Port {port} on 127.0.0.1 is taken" in said.decode()


async def test_all_starts_a_process_for_each_and_a_killed_one_again_and_stops_them(tmp_path):
    hub = SmallHub()
    async with hub.server:
        options = ["--data-dir", str(tmp_path), "--hub", str(hub.server.make_url("/api"))]
        async with running("all", *options) as process:
            urls = await read_lines(process, len(SERVICES))
            os.kill(hub.registered["web-dashboard"]["metadata"]["process_id"], signal.SIGKILL)
            async with asyncio.timeout(PATIENCE):
                told = (await process.stdout.readline()).decode()
            again = await read_lines(process, 1)
            process.send_signal(signal.SIGINT)
            async with asyncio.timeout(PATIENCE):
                assert await process.wait() == 0

    assert told == "web-dashboard ended with -9; starts again in 0.5 s\n"
    assert again["web-dashboard"] == urls["web-dashboard"]
    assert set(urls) == set(SERVICES) == set(hub.registered)
    assert set(hub.statuses.values()) == {"OFFLINE"}
    for url in urls.values():
        await until_refused(url)


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel of Linux")
async def test_no_child_outlives_a_killed_parent(tmp_path):
    async with running("all", "--data-dir", str(tmp_path)) as process:
        urls = await read_lines(process, len(SERVICES))
        process.kill()
        await process.wait()
        for url in urls.values():
            await until_refused(url)


def test_backoff_grows_to_half_a_minute():
    assert [backoff_seconds(deaths) for deaths in (1, 2, 3, 20)] == [0.5, 1.0, 2.0, 30.0]
