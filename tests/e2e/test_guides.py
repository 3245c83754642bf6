"""Every code block of the specification's guides, run as it is written against a running hub.

Imports are mapped to the client, placeholder ids, hosts and ``...`` are filled in; nothing else.
The guides are copies, kept to the letter: their digests are below.
"""

from __future__ import annotations

import ast
import asyncio
import hashlib
import inspect
import re
import sys
import types
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

import service_integration_client
from service_integration_client import (
    AsyncServiceIntegrationClient,
    CircuitBreaker,
    ResourceNotFoundError,
    ServiceIntegrationClient,
    ServiceUnavailableError,
    ValidationError,
    get_request_id,
    health_response,
)

pytestmark = [pytest.mark.e2e, pytest.mark.once]
SPECIFICATION = Path(__file__).parent.parent / "specification"
CLIENT_GUIDE, WORKFLOW_GUIDE = (
    "service-integration-client-guide.md", "service-integration-workflow-guide.md",
)  # fmt: skip
DIGESTS = {
    CLIENT_GUIDE: "1886a7cd7e2bfd0261c65850d04ec0bf0918b322da1975271a0ce112d1e53b62",
    WORKFLOW_GUIDE: "44d9229ac9c5429f10c8ab392cbfd97f30fbc29e2e5384b13205e18c14d67a7d",
}
MODULES = (
    "shared.utils.src.clients",
    "shared.utils.src.exceptions",
    "shared.utils.src.request_id",
    "app.api.clients",
)
CHAIN = ("text-extraction", "sentiment-analysis", "text-summarization")
STEPS = [
    {"id": "extract", "service": CHAIN[0], "action": "extract", "next": "analyze"},
    {"id": "analyze", "service": CHAIN[1], "action": "analyze", "next": "summarize"},
    {"id": "summarize", "service": CHAIN[2], "action": "summarize", "next": None},
]
INPUT = {"document_url": "https://example.com/document.pdf"}
MADE = ("document-processing", "document-processing-v2", "document-sentiment", "guide")


def text_of(document: str) -> str:
    """The client guide whole, the workflow guide's best practices."""
    text = (SPECIFICATION / document).read_text()
    return text.partition("## Best Practices" if document == WORKFLOW_GUIDE else "\n")[2]


def blocks_of(document: str) -> list[Any]:
    """The blocks; where one shows a good and a bad way, the two by themselves."""
    found = re.findall(r"^```python\n(.*?)^```", text_of(document), re.MULTILINE | re.DOTALL)
    parts = [part for block in found for part in re.split(r"^(?=# Bad$)", block, flags=re.M)]
    return [pytest.param(part, id=f"{n}-{title_of(part)}") for n, part in enumerate(parts)]


def title_of(block: str) -> str:
    called = re.search(r"await client\.(\w+)|client\.(\w+)|(\w+)\(", block)
    bad = "bad-" if block.startswith("# Bad") else ""
    return bad + next(filter(None, called.groups()), "") if called else "code"


class World:
    """A hub with what the guides take for granted, made anew for each block."""

    def __init__(self, fleet: Any) -> None:
        self.fleet = fleet
        listed = fleet.get("/registry/services", per_page=50)["items"]
        self.urls = {service["name"]: service["url"] for service in listed}
        self.client = ServiceIntegrationClient(base_url=f"{fleet.url}/api", api_key=fleet.key)

    def prepare(self) -> None:
        for name in MADE:
            self.fleet.api.delete(f"/workflows/{name}?force=true")
        for name in ("text-extraction-v2", "translation", "guide-service", "my-service", "stock"):
            self.fleet.api.delete(f"/registry/services/{name}?force=true")
        made = self.fleet.post("/workflows", {"name": "guide", "steps": STEPS})
        run = self.fleet.post(f"/workflows/{made['id']}/execute", {"input_data": INPUT, "wait": 30})
        self.ids = {"workflow_id": made["id"], "execution_id": run["id"]}

    def add(self, name: str, action: str) -> str:
        """A service of that name where the extraction service answers."""
        body = {"name": name, "url": self.urls[CHAIN[0]], "actions": [{"name": action}]}
        return self.fleet.post("/registry/services", body)["id"]

    def fill(self, block: str) -> str:
        """The block with the placeholders for ids and hosts filled in."""
        if "text-extraction-v2" in block and "update_workflow" in block:
            self.add("text-extraction-v2", "extract")
            self.add("translation", "translate")
        if re.search(r"update_service|deregister_service", block):
            service = self.add("guide-service", "extract")
        else:
            service = self.fleet.get(f"/registry/services/{CHAIN[0]}")["id"]
        for name, value in {**self.ids, "service_id": service}.items():
            block = re.sub(rf'{name}="\d+"', f'{name}="{value}"', block)
        for name in ("http://localhost:8005", "http://service-integration:8090"):
            block = block.replace(name, self.fleet.url)
        host = r"http://([a-z-]+?)-service(?:-v2)?:8000/api"
        return re.sub(host, lambda found: self.urls[found[1]], block)

    def names(self) -> dict[str, Any]:
        return {
            "ServiceIntegrationClient": ServiceIntegrationClient,  # the first block imports it
            "client": self.client,
            "workflow_steps": STEPS,
            "process_workflow": lambda workflow: None,
            "get_request_id": get_request_id,
        }


@pytest.fixture(scope="module")
def shared_world(fleet):
    return World(fleet)


@pytest.fixture
def world(shared_world, monkeypatch):
    monkeypatch.setenv("SERVICE_INTEGRATION_API_KEY", shared_world.fleet.key)
    monkeypatch.setenv("SERVICE_INTEGRATION_URL", f"{shared_world.fleet.url}/api")
    for name in MODULES:
        parts = name.split(".")
        for end in range(1, len(parts)):
            parent = types.ModuleType(".".join(parts[:end]))
            parent.__path__ = []
            monkeypatch.setitem(sys.modules, parent.__name__, parent)
        monkeypatch.setitem(sys.modules, name, service_integration_client)
    shared_world.prepare()
    return shared_world


def run(source: str, names: dict[str, Any]) -> dict[str, Any]:
    """Run a block, which may await at its top; answers its names."""
    code = compile(source, "guide", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    made = eval(code, names)
    if inspect.iscoroutine(made):
        asyncio.run(made)
    return names


def complete(block: str) -> str:
    """The block with the ``...`` filled in that stand for what the reader has."""
    block = block.replace("[...]", "workflow_steps").replace("{...}", repr(INPUT))
    return block.replace("(...)", "(name='document-processing', steps=workflow_steps)")


@pytest.mark.parametrize(("document", "blocks"), [(CLIENT_GUIDE, 26), (WORKFLOW_GUIDE, 4)])
def test_no_block_of_the_guides_is_left_out_or_edited(document, blocks):
    """Counted line by line, whatever the fences say; every line of them is run."""
    written = (SPECIFICATION / document).read_bytes()
    assert hashlib.sha256(written).hexdigest() == DIGESTS[document]
    inside, lines, fences = False, [], 0
    for line in text_of(document).splitlines(keepends=True):
        if "```" in line:
            inside, fences = not inside, fences + 1
        elif inside:
            lines.append(line)
    assert fences == 2 * blocks
    assert "".join(part.values[0] for part in blocks_of(document)) == "".join(lines)


@pytest.mark.parametrize("block", blocks_of(CLIENT_GUIDE))
def test_block_of_the_client_guide_runs(world, block, capsys):
    names = run(world.fill(complete(block)), world.names())

    said = capsys.readouterr().out
    assert "error" not in said.lower()
    for name in ("workflow", "updated_workflow", "service", "updated_service"):
        if name in names and not inspect.iscoroutine(names[name]):
            assert names[name]["id"]
    if inspect.iscoroutine(names.get("workflow")):  # "this will return a coroutine"
        names["workflow"].close()
    if "client.execute_workflow" in block and "result" in names:
        assert names["result"]["summary"]
        assert (names["result"].status, len(names["result"].steps)) == ("COMPLETED", 3)
    if "create_and_execute_document_workflow" in names:
        result = asyncio.run(names["create_and_execute_document_workflow"]())
        assert result["sentiment"] in ("positive", "negative", "neutral")
        assert "Workflow execution result:" in capsys.readouterr().out


@pytest.mark.parametrize(
    "block",
    [
        each
        for each in blocks_of(CLIENT_GUIDE)
        if "..." in each.values[0] and "# This will return" not in each.values[0]
    ],
)
def test_block_with_its_dots_left_is_told_what_is_missing(world, block, capsys):
    """An Ellipsis is no text, list or object: refused by its name before anything is sent."""
    try:
        run(world.fill(block), world.names())
    except ValidationError as error:
        said = str(error.validation_errors)
    else:
        said = capsys.readouterr().out
    assert re.search(r"steps\[0\]|name|input_data", said)
    assert "is not JSON" in said


def blocks_of_the_readme() -> list[str]:
    readme = Path(__file__).parent.parent.parent / "client" / "README.md"
    return re.findall(r"^```python\n(.*?)^```", readme.read_text(), re.MULTILINE | re.DOTALL)


def test_blocks_of_the_readme_run_as_they_are(world, capsys):
    """With the key and the URL in the environment, and the workflow of the demonstration."""
    world.fleet.post("/workflows", {"name": MADE[0], "steps": STEPS})
    first, awaited, failing, registered, traced = blocks_of_the_readme()
    for block in (first, awaited, failing, traced):
        run(block, {})
    asyncio.run(run(registered, {})["serve"]())
    said = capsys.readouterr().out
    assert "planning-system ONLINE" in said
    assert "extract service_error" in said
    assert "order-4711" in said
    stock = world.fleet.get("/registry/services/stock")
    assert (stock["status"], stock["actions"][0]["name"]) == ("OFFLINE", "count")


def test_list_of_the_guide_has_what_it_shows(world):
    names = run("services = client.get_services()", world.names())
    assert {"name", "actions", "status"} <= set(names["services"]["items"][0])


class Posting:
    """The workflow guide's client: posts to a URL, or to an endpoint of a service."""

    def __init__(self, key: str) -> None:
        self.headers = {"Authorization": f"Bearer {key}"}
        self.answers: list[httpx2.Response] = []

    async def post(
        self, url: str = "", *, data: Any, service: Any = None, endpoint: str = ""
    ) -> Any:
        url = url or service["url"] + endpoint
        async with httpx2.AsyncClient(headers=self.headers, trust_env=False) as client:
            self.answers.append(await client.post(url, json=data))
        return self.answers[-1].json()


@pytest.fixture
def blocks():
    found = [each.values[0] for each in blocks_of(WORKFLOW_GUIDE)]
    assert len(found) == 4
    return found


def test_registration_of_the_workflow_guide(world, blocks):
    service_client = Posting(world.fleet.key)
    block = world.fill(blocks[0]).replace("MY_SERVICE_TYPE", "CUSTOM")
    run(block, {"service_client": service_client})
    assert service_client.answers[0].status_code == 201
    assert world.fleet.get("/registry/services/my-service")["url"] == "http://my-service:8000"


@pytest.mark.parametrize("cache", [True, False])
def test_health_check_of_the_workflow_guide(world, blocks, cache):
    async def is_well():
        return world.fleet.is_ready()

    async def is_cache_well():
        return cache

    class App:
        def get(self, path):
            assert path == "/health"
            return lambda function: function

    names = {
        "app": App(), "datetime": datetime, "check_database_connection": is_well,
        "check_cache_connection": is_cache_well, "check_dependencies": is_well,
    }  # fmt: skip
    guide = asyncio.run(run(blocks[1], names)["health_check"]())
    ours = health_response(database=True, cache=cache, dependencies=True)
    assert list(ours) == list(guide)
    assert {**ours, "timestamp": 0} == {**guide, "timestamp": 0}


def test_breakers_of_the_workflow_guide(world, blocks):
    names = run(blocks[2], {"CircuitBreaker": CircuitBreaker})
    for name, limits in (("critical", (5, 30, 5)), ("non_critical", (3, 60, 10))):
        breaker = names[f"{name}_circuit_breaker"]
        found = (breaker.failure_threshold, breaker.recovery_timeout, breaker.timeout)
        assert found == limits
        with ServiceIntegrationClient(f"{world.fleet.url}/api", circuit_breaker=breaker) as client:
            assert client.get_integration_health()["status"]


class Workflow:
    """What the workflow guide's error handling is a method of."""

    def __init__(self, world: World) -> None:
        self.service_discovery = self
        self.service_client = Posting(world.fleet.key)
        self.logger = __import__("logging").getLogger("guide")
        self.url, self.key = f"{world.fleet.url}/api", world.fleet.key

    async def get_service_by_type(self, kind: str) -> Any:
        async with AsyncServiceIntegrationClient(self.url, api_key=self.key) as client:
            return await client.find_service(kind)

    def _generate_fallback_plan(self, project: Any) -> Any:
        return {"fallback": project}


@pytest.mark.parametrize("kind", ["PLANNING_SYSTEM", "EXTERNAL_API"])
def test_error_handling_of_the_workflow_guide(world, blocks, kind):
    class WorkflowError(Exception):
        pass

    plan = {"project_id": "p", "name": "Move", "description": "Move the office."}
    names = {
        "self": Workflow(world), "project": plan, "WorkflowError": WorkflowError,
        "ServiceType": types.SimpleNamespace(PLANNING_SYSTEM=kind),
        "ServiceNotFoundError": ResourceNotFoundError,
        "ServiceConnectionError": ServiceUnavailableError,
    }  # fmt: skip
    response = run(blocks[3].replace("{...}", repr(plan)), names)["response"]
    assert ("fallback" in response) == (kind != "PLANNING_SYSTEM")
