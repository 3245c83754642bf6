"""A fleet as the earlier workflows call it: three services, at one address, with those routes.

It refuses bodies that are not what the contract says, and remembers what it was asked in order.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.waiting import PATIENCE

Json = dict[str, Any]
PROJECT = {"id": "p1", "name": "Bridge", "description": "Across the river", "status": "DRAFT"}
TASKS = [
    {"id": "t1", "required_agent_type": "developer"},
    {"id": "t2", "required_agent_type": "DESIGNER"},
    {"id": "t3", "required_agent_type": "developer"},
]
STRATEGIC = {"goal": "cross"}
TACTICAL = {"tasks": TASKS}
EXECUTION_PLAN = {"plan_id": "x1", "steps": []}


@dataclass
class Fleet:
    """What it was asked, as method, path and body; and how its executions stand."""

    url: str = ""
    asked: list[tuple[str, str, Json]] = field(default_factory=list)
    statuses: list[str] = field(default_factory=lambda: ["RUNNING", "COMPLETED"])
    agent_ids: dict[str, str] = field(default_factory=lambda: {"developer": "a1", "DESIGNER": "a2"})

    def answer(self, method: str, path: str, body: Json) -> Json | None:
        for route, respond in ROUTES.items():
            match = re.fullmatch(route, f"{method} {path}")
            if match:
                self.asked.append((method, path, body))
                return respond(self, body, *match.groups())
        return None


def _needs(body: Json, *names: str) -> None:
    assert set(body) == set(names), body


def _project(fleet: Fleet, body: Json, key: str) -> Json:
    return {**PROJECT, "id": key}


def _strategic(fleet: Fleet, body: Json) -> Json:
    _needs(body, "project_id", "project_details", "options")
    return {"plan": STRATEGIC}


def _tactical(fleet: Fleet, body: Json) -> Json:
    _needs(body, "project_id", "strategic_plan", "options")
    return {"plan": TACTICAL}


def _agent(fleet: Fleet, body: Json) -> Json:
    _needs(body, "project_id", "name", "type", "configuration")
    key = fleet.agent_ids.get(body["type"])
    return {"id": key, "type": body["type"]} if key else {"type": body["type"]}


def _planning(fleet: Fleet, body: Json, key: str) -> Json:
    _needs(body, "strategic_plan", "tactical_plan", "agents", "task_assignments")
    return {"id": key, "status": "PLANNING"}


def _execution_plan(fleet: Fleet, body: Json) -> Json:
    _needs(body, "task_id", "agent_id", "parameters")
    return {"plan": EXECUTION_PLAN}


def _start(fleet: Fleet, body: Json) -> Json:
    _needs(body, "agent_id", "task_id", "execution_plan", "parameters")
    return {"execution_id": "e1"}


def _poll(fleet: Fleet, body: Json, key: str) -> Json:
    status = fleet.statuses.pop(0) if len(fleet.statuses) > 1 else fleet.statuses[0]
    return {"execution_id": key, "status": status, "result": {"text": "done"}, "steps": [1],
            "metrics": {"tokens": 3}, "execution_time": 1.5}  # fmt: skip


ROUTES: dict[str, Callable[..., Json]] = {
    r"GET /projects/(\w+)": _project,
    r"PUT /projects/(\w+)/planning": _planning,
    r"POST /plans/strategic": _strategic,
    r"POST /plans/tactical": _tactical,
    r"POST /plans/execution-plan": _execution_plan,
    r"POST /agents": _agent,
    r"POST /executions": _start,
    r"GET /executions/(\w+)": _poll,
}
TYPES = {
    "project-coordinator": "PROJECT_COORDINATOR",
    "planning-system": "PLANNING_SYSTEM",
    "agent-orchestrator": "AGENT_ORCHESTRATOR",
}


@contextlib.contextmanager
def running_fleet() -> Iterator[Fleet]:
    """Serve a fleet until the block ends."""
    fleet = Fleet()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _respond(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            try:
                answer = fleet.answer(self.command, self.path, body)
                status = 404 if answer is None else 200
            except AssertionError as error:
                answer, status = {"detail": f"not what is taken here: {error}"}, 422
            content = json.dumps(answer or {}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _respond  # noqa: N815 (http.server calls them so)

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    fleet.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield fleet
    finally:
        server.shutdown()
        thread.join(PATIENCE)
        server.server_close()
