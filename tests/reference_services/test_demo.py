"""The demo as a real process, against a small hub that plays the workflows."""

import asyncio
import contextlib
import itertools
import os
import sys

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from reference_services import demo_work as work
from reference_services.demo_work import Progress
from reference_services.services import SERVICES
from service_integration_client import WorkflowResult
from tests.reference_services.test_processes import ROOT, environment
from tests.support.waiting import PATIENCE

OUTPUTS = {
    "PROJECT_CREATION": {
        "project_id": "p1",
        "project": {"name": "Shop"},
        "tasks": [],
        "agents": [],
    },
    "PROJECT_PLANNING": {"project": {"name": "Shop"}, "tasks": [{"task_id": "t1"}], "agents": []},
    "AGENT_TASK_EXECUTION": {"summary": "Went through 3 steps."},
}


class PlayingHub:
    """Knows the services; the document workflow calls the real summarizer, the rest is played."""

    def __init__(self, summarizer_url, *, open_questions=0):
        self.open_questions = open_questions
        self.summarizer_url = summarizer_url
        self.workflows = {}
        self.channels = []
        self.checks = []
        self.slos = []
        self.status_pages = []
        self.dependencies = []
        self.executed = []
        self.numbers = itertools.count(1)
        app = web.Application()
        app.router.add_get("/api/discovery/services", self._discover)
        app.router.add_get("/api/registry/services/{name}", self._service)
        app.router.add_get("/api/workflows/{name}/executions", self._executions)
        app.router.add_get("/api/workflows/{name}", self._workflow)
        app.router.add_post("/api/workflows", self._create)
        app.router.add_post("/api/monitoring/channels", self._create_channel)
        app.router.add_post("/api/monitoring/checks", self._create_check)
        app.router.add_post("/api/monitoring/slos", self._create_slo)
        app.router.add_post("/api/monitoring/status-pages", self._create_status_page)
        app.router.add_get("/api/monitoring/dependencies", self._dependencies)
        app.router.add_post("/api/monitoring/dependencies", self._create_dependency)
        app.router.add_post("/api/workflows/execute", self._execute_type)
        app.router.add_post("/api/workflows/{name}/execute", self._execute)
        self.server = TestServer(app)

    async def _discover(self, request):
        return web.json_response({"items": [{"name": name} for name in SERVICES]})

    async def _service(self, request):
        return web.json_response({"url": self.summarizer_url})

    async def _workflow(self, request):
        found = self.workflows.get(request.match_info["name"])
        return web.json_response(found or {"message": "No."}, status=200 if found else 404)

    async def _create(self, request):
        body = await request.json()
        self.workflows[body["name"]] = {**body, "id": "w1"}
        return web.json_response(self.workflows[body["name"]], status=201)

    async def _create_channel(self, request):
        self.channels.append(await request.json())
        return web.json_response(self.channels[-1], status=201)

    async def _create_check(self, request):
        self.checks.append(await request.json())
        return web.json_response(self.checks[-1], status=201)

    async def _create_slo(self, request):
        self.slos.append(await request.json())
        return web.json_response(self.slos[-1], status=201)

    async def _create_status_page(self, request):
        self.status_pages.append(await request.json())
        return web.json_response(self.status_pages[-1], status=201)

    async def _dependencies(self, request):
        return web.json_response({"items": self.dependencies})

    async def _create_dependency(self, request):
        self.dependencies.append(await request.json())
        return web.json_response(self.dependencies[-1], status=201)

    async def _execute_type(self, request):
        body = await request.json()
        return self._ended(body["workflow_type"], body["data"], OUTPUTS[body["workflow_type"]])

    async def _executions(self, request):
        assert request.query["status"] == "PENDING,RUNNING,WAITING,PAUSED"
        return web.json_response({"items": [], "total": self.open_questions})

    async def _execute(self, request):
        body = await request.json()
        if request.match_info["name"] == "human-interaction":
            self.executed.append(("HUMAN_INTERACTION", body["input_data"]))
            return web.json_response({"id": "q1", "status": "PENDING"}, status=202)
        url = f"{self.summarizer_url}/summarize"
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, json={"text": "A text."}) as answer,
        ):
            content = await answer.json()
        if answer.status == 200:
            return self._ended("documents", body["input_data"], content)
        error = {"step": "generate-summary", "code": "x", "message": content["message"]}
        return self._ended("documents", body["input_data"], None, errors=[error])

    def _ended(self, kind, input_data, output, errors=()):
        self.executed.append((kind, input_data))
        status = "FAILED" if errors else "COMPLETED"
        body = {"id": f"e{next(self.numbers)}", "status": status, "execution_time": 0.25}
        return web.json_response({**body, "output": output, "errors": list(errors)})


@contextlib.asynccontextmanager
async def demo(hub_url, data_dir, *arguments):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *["-m", "reference_services.demo", "--hub", hub_url, "--data-dir", str(data_dir)],
        *arguments,
        cwd=ROOT,
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def test_demo_runs_every_kind_of_work_and_one_failure(start_service, tmp_path):
    summarizer = await start_service("text-summarization")
    hub = PlayingHub(str(summarizer.make_url("/")).rstrip("/"))
    async with hub.server:
        url = str(hub.server.make_url("/api"))
        async with demo(url, tmp_path, "--once") as process, asyncio.timeout(PATIENCE):
            printed, complaints = await process.communicate()

    lines = printed.decode().splitlines()
    assert process.returncode == 0, complaints.decode()
    assert lines[0] == "Created the workflow document-processing"
    (channel,) = hub.channels
    assert channel["name"] == "demo-mailbox" and channel["config"]["url"].endswith("/hook")
    assert lines.pop(1).startswith("Alerts are told to the mailbox: open http://127.0.0.1:")
    assert [check["kind"] for check in hub.checks] == ["HTTP", "TCP"]
    assert lines.pop(1).startswith("The hub looks at text-summarization: see the check demo-")
    needed = {(each["service"], each["depends_on"]) for each in hub.dependencies}
    assert len(needed) == len(hub.dependencies) >= 5
    assert {name for pair in needed for name in pair} <= SERVICES.keys()
    (slo,), (page,) = hub.slos, hub.status_pages
    assert slo["service"] in SERVICES
    assert {each["service"] for each in page["components"]} <= set(SERVICES)
    assert (page["visibility"], len(page["components"])) == ("PUBLIC", 3)
    shown = f"{url.removesuffix('/api')}/status/demo"
    assert lines.pop(1) == f"People without a login see how things are: {shown}"
    assert lines[1].startswith("FAILED     document-processing in 0.25 s: generate-summary: The su")
    assert "Open execution e1 in the admin" in lines[2]
    assert [line.split()[1] for line in lines[3:]] == [
        "document-processing",
        "PROJECT_CREATION",
        "document-processing",
        "PROJECT_PLANNING",
        "AGENT_TASK_EXECUTION",
        "PROJECT_CREATION",  # the only task is taken: the next needs a project and a plan first
        "PROJECT_PLANNING",
        "AGENT_TASK_EXECUTION",
        "HUMAN_INTERACTION:",
    ]
    assert {line.split()[0] for line in lines[3:-1]} == {"COMPLETED"}
    assert lines[-1].startswith("ASKED")
    assert lines[-1].endswith("Open execution q1 in the admin and answer.")
    assert ("PROJECT_PLANNING", {"project_id": "p1"}) in hub.executed
    assert ("AGENT_TASK_EXECUTION", {"task_id": "t1"}) in hub.executed
    assert (await (await summarizer.get("/_fault")).json())["fail_rate"] == 0


async def test_demo_asks_nothing_while_questions_wait(start_service, tmp_path):
    summarizer = await start_service("text-summarization")
    hub = PlayingHub(str(summarizer.make_url("/")).rstrip("/"), open_questions=3)
    async with hub.server:
        url = str(hub.server.make_url("/api"))
        async with demo(url, tmp_path, "--once") as process, asyncio.timeout(PATIENCE):
            await process.communicate()
    assert process.returncode == 0
    assert "HUMAN_INTERACTION" not in {kind for kind, _ in hub.executed}


async def test_demo_waits_for_its_hub_and_stops_when_told(tmp_path):
    async with demo("http://127.0.0.1:9/api", tmp_path) as process, asyncio.timeout(PATIENCE):
        said = (await process.stdout.readline()).decode()
        process.terminate()
        assert await process.wait() == 0
    assert said.startswith(
        "Not ready yet: Given up after 3 attempts: The hub at http://127.0.0.1:9"
    )


def test_progress_survives_a_restart_and_a_damaged_file(tmp_path):
    path = tmp_path / "demo.json"
    progress = Progress.load(path)
    progress.next_turn()
    progress.remember(WorkflowResult({"output": {"project_id": "p1"}}))
    progress.remember_tasks(WorkflowResult({"output": {"tasks": [{"task_id": "t1"}]}}))
    progress.save()

    again = Progress.load(path)
    assert (again.turn, again.take_project(), again.take_task()) == (1, "p1", "t1")
    assert again.take_project() is None

    path.write_text(os.linesep)
    assert Progress.load(path).turn == 0


def test_documents_alternate_between_files_and_web_addresses():
    urls = [work.document_url(turn) for turn in range(4)]
    assert [url.partition(":")[0] for url in urls] == ["https", "file", "https", "file"]
    assert len({url.rpartition("/")[2] for url in urls}) == 4
