"""Later changes of what an effect is about: what everybody may before, and what is left of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from core.roles import SCOPES
from registry.models import Integration
from tests import factories
from tests.security.findings import Findings
from tests.security.receiver import receiving
from tests.security.world import Answer, Caller, Identity, everybody
from tests.support.authority import Expected, LaterRule, expected, later_rules
from tests.support.real_hub import Hub
from tests.support.waiting import until

SECTION = "identities x later changes of what is asked"
SECRET = "of-scenarios-0123456789abcdef"
# Where nothing carries news between processes, a worker looks again after two seconds.
NEWS_SECONDS = 2.1
ENDED = {"input_data": {}, "wait": 20}


class Stage:
    """A service of one owner, whose calls carry a secret that somebody else linked."""

    def __init__(self, caller: Caller, findings: Findings, base: str, heard: list[str]) -> None:
        self.caller, self.findings, self.base, self.heard = caller, findings, base, heard
        self.rule: LaterRule
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

    # What everybody is answered

    def before(self, names: dict[str, str], body: Any, *, sends: bool = False) -> None:
        """Have everybody ask before the change; nothing that is sent has the secret yet."""
        for identity in everybody():
            wanted = expected(self.rule.effect, identity.scopes)
            self.ask(identity, wanted, names, body, may_send=sends and not wanted.status)

    def after(
        self, names: dict[str, str], body: Any, what: str, *, refused: int = 403, sends: bool = True
    ) -> None:
        """Have everybody ask after the change, which is told in some words."""
        for identity in everybody():
            wanted = self.rule.expected(identity.scopes, refused=refused, own=True)
            may_send = sends and not wanted.status
            self.ask(identity, wanted, names, body, what=what, may_send=may_send)

    def ask(
        self,
        identity: Identity,
        wanted: Expected,
        names: dict[str, str],
        body: Any,
        *,
        what: str = "before",
        may_send: bool = False,
    ) -> Answer:
        """Send the request as somebody; hold its answer, and what went out, against the rule."""
        effect = self.rule.effect
        self.heard.clear()
        answer = self.caller.as_one(identity, effect.method, effect.filled(names), body)
        got, sent = status_of(answer), any(SECRET in line for line in self.heard)
        told = f"{identity.title}, {effect}, {what}: {got}, not {wanted.status or 'allowed'}"
        is_held = wanted.fits(got) and sent is may_send
        self.findings.hold(SECTION, is_held, f"{told}; sent {sent}; {answer.text[:200]}")
        return answer

    def allowed(
        self, names: dict[str, str], body: Any, grant: Any, undo: Callable[[], object]
    ) -> None:
        """Have everybody allow it: those who may not change nothing, each of the others does."""
        assert self.rule.until is not None
        able = []
        for identity in everybody():
            wanted = expected(self.rule.until, identity.scopes)
            if wanted.status:
                self._allow(identity, wanted, names, grant)
            else:
                able.append(identity)
        superuser = everybody()[-1]
        self.ask(superuser, Expected(403), names, body, what="allowed by who may not")
        for identity in able:
            self._allow(identity, Expected(0), names, grant)
            threading.Event().wait(NEWS_SECONDS)
            what = f"allowed by {identity.title}"
            self.ask(superuser, Expected(0), names, body, what=what, may_send=True)
            undo()
            threading.Event().wait(NEWS_SECONDS)
            self.ask(superuser, Expected(403), names, body, what="changed again")

    def _allow(
        self, identity: Identity, wanted: Expected, names: dict[str, str], body: Any
    ) -> None:
        effect = self.rule.until
        assert effect is not None
        answer = self.caller.as_one(identity, effect.method, effect.filled(names), body)
        told = f"{identity.title}, {effect}: {answer.status_code}, not {wanted.status or 'allowed'}"
        self.findings.hold(SECTION, wanted.fits(answer.status_code), told)


def status_of(answer: Answer) -> int:
    """Return the status of an answer; that of an execution that was refused a credential is 403."""
    if answer.status_code == 200 and '"permission_denied"' in answer.text:
        document = answer.json()
        return 403 if document.get("status") == "FAILED" else answer.status_code
    return answer.status_code


def target_changed(stage: Stage) -> None:
    """The owner turns `GET /read` into `DELETE /admin/everything`, after a secret was linked."""
    names = {"service": "moved", "action": "act"}
    stage.register("moved", "GET", "/read")
    stage.make("all", "/services/moved", {"credential": "scenario"}, "PATCH")
    stage.before(names, {}, sends=True)
    for method, path in (("DELETE", "/admin/everything"), ("POST", "/read"), ("GET", "/readme")):
        stage.register("moved", method, path)
        stage.after(names, {}, f"turned into {method} {path}")
    stage.register("moved", "GET", "/read")
    stage.before(names, {}, sends=True)
    turns = iter(range(1000))

    def turn() -> None:
        stage.register("moved", "DELETE", f"/admin/{next(turns)}")

    turn()
    stage.allowed(names, {}, {"actions": ["act"]}, turn)


def credential_linked(stage: Stage) -> None:
    """What leads to a service carries its secret only where somebody allowed that."""
    names = {"integration": "leads"}
    stage.register("linked", "GET", "/read")
    stage.make("writer", "/integrations",
               {"name": "leads", "target": {"service": "linked", "action": "act"}})  # fmt: skip
    stage.before(names, {})
    refused = stage.send("owner", "PATCH", "/services/linked", {"credential": "scenario"})
    told = f"linked by who may not use credentials: {refused.status_code}"
    stage.findings.hold(SECTION, refused.status_code == 403, told)
    stage.make("all", "/services/linked", {"credential": "scenario"}, "PATCH")
    stage.after(names, {}, "an integration that was there before")

    def take_back() -> None:
        Integration.objects.filter(name="leads").update(credential_grant={})

    stage.allowed(names, {}, {}, take_back)


def workflow_outlived(stage: Stage) -> None:
    """A workflow that was active before there was a secret does not run with it."""
    names = {"workflow": "outlived", "version": "1"}
    stage.register("steps", "GET", "/read")
    _save_calling(stage, "outlived")
    stage.before(names, ENDED)
    stage.make("all", "/services/steps", {"credential": "scenario"}, "PATCH")
    threading.Event().wait(NEWS_SECONDS)
    stage.after(names, ENDED, "the version that was there before")
    stage.allowed(names, ENDED, {"steps": ["a"]}, lambda: _withdraw(stage, "outlived"))


def grants_withdrawn(stage: Stage) -> None:
    """A version that ran with the secret does not, once that is taken back."""
    names = {"workflow": "withdrawn", "version": "1"}
    _save_calling(stage, "withdrawn", who="all")
    stage.before(names, ENDED, sends=True)
    _withdraw(stage, "withdrawn")
    threading.Event().wait(NEWS_SECONDS)
    stage.after(names, ENDED, "taken back")
    stage.allowed(names, ENDED, {}, lambda: _withdraw(stage, "withdrawn"))


def _save_calling(stage: Stage, name: str, *, who: str = "editor") -> None:
    step = {"id": "a", "type": "ACTION", "service": "steps", "action": "act",
            "retry": {"max_attempts": 1}, "next": None}  # fmt: skip
    stage.make(who, "/workflows", {"name": name, "steps": [step], "status": "ACTIVE"})


def _withdraw(stage: Stage, name: str) -> None:
    stage.make("all", f"/workflows/{name}/versions/1/grants/withdraw", {"reason": "Tried."})


def version_replaced(stage: Stage) -> None:
    """A version is started that a newer one took the place of."""
    step: dict[str, Any] = {"id": "a", "type": "TRANSFORM", "output": {"n": 1}, "next": None}
    stage.make("all", "/workflows", {"name": "replaced", "steps": [step], "status": "ACTIVE"})
    names, body = {"workflow": "replaced"}, {"version": 1, "input_data": {}}
    stage.before(names, body)
    newer = {**step, "output": {"n": 2}}
    stage.make("all", "/workflows/replaced", {"steps": [newer]}, "PATCH")
    stage.after(names, body, "the version before", sends=False)


def version_asks(stage: Stage) -> None:
    """A version is started that one with an approval took the place of."""
    step: dict[str, Any] = {"id": "a", "type": "TRANSFORM", "output": {"n": 1}, "next": None}
    stage.make("all", "/workflows", {"name": "asking", "steps": [step], "status": "ACTIVE"})
    names, body = {"workflow": "asking"}, {"version": 1, "input_data": {}}
    stage.before(names, body)
    newer = [{"id": "ask", "type": "APPROVAL", "next": "a"}, step]
    stage.make("all", "/workflows/asking", {"steps": newer}, "PATCH")
    for identity in everybody():
        wanted = stage.rule.expected(identity.scopes, refused=409, own=True)
        if wanted.status == 409 and "workflows:operate" not in (identity.scopes or ()):
            wanted = Expected(403)  # it is not the active one either
        stage.ask(identity, wanted, names, body, what="one from before the approval")
    stage.before(names, {"input_data": {}})


def approval_given(stage: Stage) -> None:
    """What was approved is not run again with something else."""
    steps = [
        {"id": "ask", "type": "APPROVAL", "next": "pay"},
        {"id": "pay", "type": "TRANSFORM", "output": {"paid": "$.input.amount"}, "next": None},
    ]
    stage.make("all", "/workflows", {"name": "approved", "steps": steps, "status": "ACTIVE"})
    others = _approved(stage, None)
    for identity in everybody():
        starts = "workflows:execute" in (identity.scopes or ())
        names = {"execution": _approved(stage, identity) if starts else others}
        for edits in ({"input_data": {"amount": 1_000_000}}, {"step_input": {"amount": 1_000_000}}):
            wanted = stage.rule.expected(identity.scopes, refused=403, own=starts)
            body, what = {"from_step": "pay", **edits}, f"from behind the approval with {edits}"
            answer = stage.ask(identity, wanted, names, body, what=what)
            if answer.status_code < 300:
                _see_asking(stage, answer.json()["id"], f"{identity.title}, {what}")


def _approved(stage: Stage, starter: Identity | None) -> str:
    """Return an execution that somebody started, that was approved and has ended."""
    path, body = "/workflows/approved/execute", {"input_data": {"amount": 10}}
    if starter is None:
        execution = stage.make("editor", path, body)["id"]
    else:
        execution = stage.caller.as_one(starter, "POST", path, body).json()["id"]
    at = f"/executions/{execution}"
    until(lambda: stage.make("all", at, None, "GET")["status"] == "WAITING", "it asks")
    stage.make("all", f"{at}/steps/ask/approve", {})
    ended = stage.make("all", f"{at}?wait=20", None, "GET")
    assert ended["status"] == "COMPLETED", ended
    return str(execution)


def _see_asking(stage: Stage, execution: str, what: str) -> None:
    """See that an execution waits for people, and did nothing of what comes after them."""
    shown: dict[str, Any] = {}

    def is_settled() -> bool:
        shown.update(stage.make("all", f"/executions/{execution}", None, "GET"))
        return shown["status"] in ("WAITING", "COMPLETED", "FAILED")

    until(is_settled, "it asks again")
    told = f"{what}: {shown['status']}, and nobody was asked"
    stage.findings.hold(SECTION, shown["status"] == "WAITING", told)


# By change of docs/authority.md.
SCENARIOS: dict[str, Callable[[Stage], None]] = {
    "what a credential goes with gets another target": target_changed,
    "a credential is linked to what an integration leads to": credential_linked,
    "a credential is linked to what a version of a workflow calls": workflow_outlived,
    "the grants of a version are withdrawn": grants_withdrawn,
    "the approval is given": approval_given,
    "the version is replaced": version_replaced,
    "the version is replaced by one that asks for an approval": version_asks,
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
            for rule in later_rules():
                stage.rule = rule
                SCENARIOS[rule.change](stage)
        finally:
            worker.terminate()
            worker.wait()
