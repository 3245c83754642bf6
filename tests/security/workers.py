"""Executions that cost more than they weigh, while others run something small."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

from core.roles import SCOPES
from registry.models import ServiceAction
from tests import factories
from tests.security.documents import MOST_SECONDS, QUIET, Others, tell_waits
from tests.security.findings import Findings
from tests.security.receiver import receiving
from tests.security.world import Caller
from tests.support.hostile_documents import HOSTILE, Hostile
from tests.support.real_hub import Hub
from tests.support.waiting import until
from workflows.models import WorkflowExecution

SAVED, ENDED = "hostile workflows, saved or refused", "hostile executions"
OTHERS = "what other executions wait meanwhile"
# What a worker computes; the rest only the web does.
KINDS = ("expression", "template", "schema", "body", "definition", "dry run")
SMALL: list[dict[str, Any]] = [
    {"id": "fill", "type": "TRANSFORM", "output": {"n": "$.input.n"}, "next": "tell"},
    {"id": "tell", "type": "ACTION", "service": "of-workers", "action": "tell", "next": None},
]
STARTED = {"input_data": {"n": 1}, "wait": 30}


def run(caller: Caller, findings: Findings, hub: Hub) -> None:
    """Run each hostile document as an execution; time what others run at the same time."""
    key = factories.make_key(name="of-workers", scopes=sorted(SCOPES))[1]
    hostile = [each for each in HOSTILE if each.kind in KINDS]
    with receiving(_answer) as base:
        factories.make_service("of-workers", urls=(base,), actions=("tell",))
        factories.make_workflow("of-workers", SMALL)
        worker = hub.start_worker()
        try:
            small = ("POST", "/workflows/of-workers/execute", STARTED)
            runs = list(_stored(caller, findings, key, hostile))
            with Others(hub.url, [small] * 2) as others:
                others.asked(20)  # until the worker is warm
                others.waits.clear()
                quiet = others.asked(QUIET)
                others.waits.clear()
                for each, name, given in runs:
                    others.during = each
                    _run(caller, findings, key, each, name, given)
        finally:
            worker.terminate()
            worker.wait()
    tell_waits(findings, OTHERS, quiet, others.waits, f"{len(runs)} documents")


def _answer(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
    found = re.search(r"/body/(\d+)", request.path)
    return 200, {}, HOSTILE[int(found[1])].document if found else b"{}"


def _stored(
    caller: Caller, findings: Findings, key: str, hostile: list[Hostile]
) -> Iterator[tuple[Hostile, str, Any]]:
    """Yield each that the hub stores, with the workflow that computes it, and its input."""
    for each in hostile:
        number = HOSTILE.index(each)
        name = f"hostile-{number}"
        steps, given = _steps_of(each, name, number)
        body = {"name": name, "steps": steps, "status": "ACTIVE"}
        answer = caller.send("POST", "/workflows", headers={"X-API-Key": key}, json=body)
        told = f"{each} is saved: {answer.status_code}"
        findings.hold(SAVED, answer.status_code in (201, 400), told)
        if answer.status_code == 201:
            yield each, name, given


def _steps_of(each: Hostile, name: str, number: int) -> tuple[Any, Any]:
    if each.kind in ("definition", "dry run"):
        return each.document["steps"], each.subject or {}
    if each.kind in ("expression", "template"):
        output = f"$.{each.document}" if each.kind == "expression" else each.document
        step = {"id": "a", "type": "TRANSFORM", "output": {"value": output}, "next": None}
        return [step], (each.subject or {}).get("input", {})
    call: dict[str, Any] = {"id": "a", "type": "ACTION", "retry": {"max_attempts": 1}, "next": None}
    if each.kind == "body":
        return [{**call, "service": "of-workers", "action": f"GET /body/{number}"}], {}
    given = each.subject if isinstance(each.subject, dict) else {"value": each.subject}
    service = factories.make_service(name, urls=("http://127.77.0.1:9",))
    ServiceAction.objects.create(service=service, name="a", input_schema=each.document)
    return [{**call, "service": name, "action": "a", "input": "$.input"}], given


def _run(
    caller: Caller, findings: Findings, key: str, each: Hostile, name: str, given: Any
) -> None:
    """Start it; hold that it ends within some seconds, or can be ended by a person."""
    headers = {"X-API-Key": key}
    workflow = WorkflowExecution.objects.filter(workflow_name=name)
    body = {"input_data": given}
    began = caller.send("POST", f"/workflows/{name}/execute", headers=headers, json=body)
    if began.status_code >= 400:
        findings.hold(ENDED, began.status_code < 500, f"{each}: {began.status_code}")
        return
    started, execution = time.monotonic(), began.json()["id"]
    while time.monotonic() - started < MOST_SECONDS:
        if workflow.filter(status__in=("COMPLETED", "FAILED", "NEEDS_REVIEW", "WAITING")).exists():
            break
        time.sleep(0.05)
    else:
        caller.send("POST", f"/executions/{execution}/cancel", headers=headers, json={})
        until(lambda: workflow.filter(status="CANCELLED").exists(), f"{each} is cancelled")
    status = workflow.get().status
    findings.hold(ENDED, status != "NEEDS_REVIEW", f"{each}: {status}")
