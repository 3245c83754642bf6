"""Later changes of what an effect is about: what ran before is not what runs now."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from core.roles import SCOPES
from tests import factories
from tests.security.findings import Findings
from tests.security.receiver import receiving
from tests.security.world import Caller
from tests.support.authority import changes
from tests.support.real_hub import Hub
from tests.support.waiting import until

SECTION = "later changes of what is asked for"
SECRET = "of-scenarios-0123456789abcdef"


class Stage:
    """A service of one owner, whose calls carry a secret that somebody else linked."""

    def __init__(self, caller: Caller, findings: Findings, base: str, heard: list[str]) -> None:
        self.caller, self.findings, self.base, self.heard = caller, findings, base, heard
        self.keys = {
            "owner": factories.make_key("SERVICE", name="scenario-owner")[1],
            "editor": factories.make_key("WORKFLOW_EDITOR", name="scenario-editor")[1],
            "writer": factories.make_key(
                name="scenario-writer", scopes=["registry:write", "actions:execute"])[1],
            "all": factories.make_key(name="scenario-all", scopes=sorted(SCOPES))[1],
        }  # fmt: skip

    def send(self, who: str, method: str, path: str, body: Any = None) -> Any:
        headers = {"X-API-Key": self.keys[who]}
        return self.caller.send(method, path, headers=headers, json=body)

    def make(self, who: str, path: str, body: Any, method: str = "POST") -> Any:
        answer = self.send(who, method, path, body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def register(self, name: str, method: str, path: str, *, who: str = "owner") -> None:
        action = {"name": "act", "method": method, "path": path}
        self.make(who, "/services", {"name": name, "url": self.base, "actions": [action]})

    def expect(self, answer: Any, status: int, sentence: str) -> None:
        """Hold an answer against what has to come of it, and that no secret was sent if refused."""
        sent = [line for line in self.heard if SECRET in line]
        self.heard.clear()
        is_held = answer.status_code == status and (status < 400 or not sent)
        told = f"{sentence}: {answer.status_code}, not {status}; sent {sent}; {answer.text[:200]}"
        self.findings.hold(SECTION, is_held, told)

    def ended(self, name: str, status: str, sentence: str, *, may_send: bool = False) -> None:
        """Start a workflow and hold its end against what has to come of it."""
        body = {"input_data": {}, "wait": 20}
        answer = self.send("editor", "POST", f"/workflows/{name}/execute", body)
        sent = [line for line in self.heard if SECRET in line]
        self.heard.clear()
        got = answer.json().get("status")
        is_held = got == status and bool(sent) is may_send
        why = answer.json().get("errors") or answer.text[:200]
        told = f"{sentence}: {got}, not {status}; sent {sent}; {why}"
        self.findings.hold(SECTION, is_held, told)

    def call(self, name: str, status: int, sentence: str, who: str = "owner") -> None:
        path = f"/services/{name}/actions/act/execute"
        self.expect(self.send(who, "POST", path, {}), status, sentence)


def target_changed(stage: Stage) -> None:
    """The owner turns `GET /read` into `DELETE /admin/everything`, after a secret was linked."""
    stage.register("moved", "GET", "/read")
    stage.make("all", "/services/moved", {"credential": "scenario"}, "PATCH")
    stage.call("moved", 200, "as it was linked")
    for method, path in (("DELETE", "/admin/everything"), ("POST", "/read"), ("GET", "/readme")):
        stage.register("moved", method, path)
        stage.call("moved", 403, f"turned into {method} {path}")
    stage.register("moved", "GET", "/read")
    stage.call("moved", 200, "turned back")
    stage.register("moved", "DELETE", "/admin/everything")
    stage.make("all", "/services/moved/grants", {"actions": ["act"]})
    stage.call("moved", 200, "allowed as it is now")


def credential_linked(stage: Stage) -> None:
    """What leads to a service carries its secret only where somebody allowed that."""
    stage.register("linked", "GET", "/read")
    stage.make("writer", "/integrations",
               {"name": "leads", "target": {"service": "linked", "action": "act"}})  # fmt: skip
    before = stage.send("writer", "POST", "/integrations/leads/execute", {})
    stage.expect(before, 200, "before there was a secret")
    refused = stage.send("owner", "PATCH", "/services/linked", {"credential": "scenario"})
    stage.expect(refused, 403, "linked by who may not use credentials")
    stage.make("all", "/services/linked", {"credential": "scenario"}, "PATCH")
    after = stage.send("writer", "POST", "/integrations/leads/execute", {})
    stage.expect(after, 403, "an integration that was there before")
    stage.make("all", "/integrations/leads/grants", {})
    allowed = stage.send("writer", "POST", "/integrations/leads/execute", {})
    stage.expect(allowed, 200, "once it is allowed")


def version_replaced(stage: Stage) -> None:
    """A version is started that a newer one took the place of."""
    step: dict[str, Any] = {"id": "a", "type": "TRANSFORM", "output": {"n": 1}, "next": None}
    stage.make("all", "/workflows", {"name": "replaced", "steps": [step], "status": "ACTIVE"})
    path = "/workflows/replaced/execute"
    began = stage.send("editor", "POST", path, {"version": 1, "input_data": {}})
    stage.expect(began, 202, "the active one")
    newer = [{"id": "ask", "type": "APPROVAL", "next": "a"}, step]
    stage.make("all", "/workflows/replaced", {"steps": newer}, "PATCH")
    again = stage.send("editor", "POST", path, {"version": 1, "input_data": {}})
    is_held = again.status_code in (403, 409)
    told = f"a version from before the approval: {again.status_code} {again.text[:200]}"
    stage.findings.hold(SECTION, is_held, told)
    active = stage.send("editor", "POST", path, {"input_data": {}})
    stage.expect(active, 202, "the active one again")


def workflow_outlived(stage: Stage) -> None:
    """A workflow that was active before there was a secret does not run with it."""
    stage.register("steps", "GET", "/read")
    step = {"id": "a", "type": "ACTION", "service": "steps", "action": "act",
            "retry": {"max_attempts": 1}, "next": None}  # fmt: skip
    stage.make("editor", "/workflows", {"name": "outlived", "steps": [step], "status": "ACTIVE"})
    stage.ended("outlived", "COMPLETED", "before there was a secret")
    stage.make("all", "/services/steps", {"credential": "scenario"}, "PATCH")
    stage.ended("outlived", "FAILED", "the version that was there before")
    refused = stage.send("editor", "POST", "/workflows/outlived/versions/1/grants", {})
    stage.expect(refused, 403, "granted by who may not use credentials")
    stage.make("all", "/workflows/outlived/versions/1/grants", {"steps": ["a"]})
    # Where nothing carries news between processes, a worker looks again after two seconds.
    threading.Event().wait(2.1)
    stage.ended("outlived", "COMPLETED", "once it is granted", may_send=True)


def approval_given(stage: Stage) -> None:
    """What was approved is not run again with something else."""
    steps = [
        {"id": "ask", "type": "APPROVAL", "next": "pay"},
        {"id": "pay", "type": "TRANSFORM", "output": {"paid": "$.input.amount"}, "next": None},
    ]
    stage.make("all", "/workflows", {"name": "approved", "steps": steps, "status": "ACTIVE"})
    body = {"input_data": {"amount": 10}}
    execution = stage.make("editor", "/workflows/approved/execute", body)["id"]
    path = f"/executions/{execution}"
    until(lambda: stage.make("all", path, None, "GET")["status"] == "WAITING", "it asks")
    stage.make("all", f"{path}/steps/ask/approve", {})
    ended = stage.make("all", f"{path}?wait=20", None, "GET")
    assert ended["status"] == "COMPLETED", ended
    for edits in ({"input_data": {"amount": 1_000_000}}, {"step_input": {"amount": 1_000_000}}):
        rerun = stage.send("editor", "POST", f"{path}/rerun", {"from_step": "pay", **edits})
        stage.expect(rerun, 403, f"run again from behind the approval with {edits}")


# By change of docs/authority.md.
SCENARIOS: dict[str, Callable[[Stage], None]] = {
    "what a credential goes with gets another target": target_changed,
    "a credential is linked to what something leads to": credential_linked,
    "a credential is linked to what a version of a workflow calls": workflow_outlived,
    "the version is replaced": version_replaced,
    "the approval is given": approval_given,
}


def run(caller: Caller, findings: Findings, hub: Hub) -> None:
    heard: list[str] = []

    def note(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        heard.append(f"{request.command} {request.path} {dict(request.headers)}")
        return 200, {}, b"{}"

    with receiving(note) as base:
        stage = Stage(caller, findings, base, heard)
        credential = {"name": "scenario", "type": "BEARER_TOKEN", "allowed_origins": [base],
                      "secret": {"token": SECRET}}  # fmt: skip
        stage.make("all", "/registry/credentials", credential)
        worker = hub.start_worker()
        try:
            for change in changes():
                if change in SCENARIOS:
                    SCENARIOS[change](stage)
        finally:
            worker.terminate()
            worker.wait()
