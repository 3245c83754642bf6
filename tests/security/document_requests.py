"""The hostile documents, each as the requests in which a caller of the API would send it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from core.models import ApiKey
from tests import factories
from tests.support.hostile_documents import HOSTILE, Hostile
from workflows.models import Workflow

URL = "http://127.77.0.1:9"


@dataclass(frozen=True)
class Sent:
    """One request with a hostile document. `session` says that a person sends it."""

    title: str
    method: str
    path: str
    content: bytes = field(repr=False)
    headers: dict[str, str] = field(default_factory=dict)
    session: bool = False


def requests() -> list[Sent]:
    """Return what is sent, made beforehand; rows that it is about are made too."""
    documents = enumerate(HOSTILE)
    return [sent for number, each in documents for sent in _SENT[each.kind](each, f"h{number}")]


def _sent(each: Hostile, method: str, path: str, body: Any, **headers: str) -> Sent:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Sent(str(each), method, path, content, headers)


def _schema(each: Hostile, name: str) -> Iterator[Sent]:
    action = {"name": "a", "method": "POST", "input_schema": each.document}
    yield _sent(each, "POST", "/services", {"name": name, "url": URL, "actions": [action]})
    body = {"input_data": {"value": each.subject}}
    if isinstance(each.subject, dict):
        body = {"input_data": each.subject}
    yield _sent(each, "POST", f"/services/{name}/actions/a/execute", body)
    step = {"id": "a", "type": "ACTION", "service": name, "action": "a", "next": None,
            "input": body["input_data"]}  # fmt: skip
    yield _sent(each, "POST", "/workflows/dry-run", {"steps": [step]})


def _template(each: Hostile, _: str) -> Iterator[Sent]:
    expression = each.kind == "expression"
    output = {"value": f"$.{each.document}" if expression else each.document}
    step = {"id": "a", "type": "TRANSFORM", "output": output, "next": None}
    yield _sent(each, "POST", "/workflows/validate", {"name": "x", "steps": [step]})
    given = (each.subject or {}).get("input", {})
    yield _sent(each, "POST", "/workflows/dry-run", {"steps": [step], "input_data": given})
    execution = factories.make_execution(input=given)
    what = {"expression": each.document} if expression else {"template": each.document}
    yield _sent(each, "POST", f"/executions/{execution.pk}/evaluate", what)


def _cron(each: Hostile, name: str) -> Iterator[Sent]:
    body = {"cron": each.document, "timezone": each.subject or "UTC"}
    yield _sent(each, "POST", "/schedules/preview", body)
    schedule = {"name": name, "workflow": "of-documents", "enabled": False, **body}
    yield _sent(each, "POST", "/schedules", schedule)
    yield _sent(each, "GET", f"/schedules/{name}", b"")


def _definition(each: Hostile, name: str) -> Iterator[Sent]:
    yield _sent(each, "POST", "/workflows/validate", {"name": name, **each.document})
    yield _sent(each, "POST", "/workflows", {"name": name, "status": "DRAFT", **each.document})
    if isinstance(steps := each.document["steps"], list) and len(steps) <= 500:
        workflow = factories.make_workflow(f"{name}-drawn", steps)
        path = f"/admin/workflows/workflow/{workflow.pk}/change/"
        yield Sent(str(each), "GET", path, b"", session=True)


def _diff(each: Hostile, name: str) -> Iterator[Sent]:
    yield _sent(each, "POST", "/workflows", {"name": name, **each.document})
    yield _sent(each, "PATCH", f"/workflows/{name}", each.subject)
    yield _sent(each, "GET", f"/workflows/{name}/versions/1/compare/2", b"")


def _dry_run(each: Hostile, _: str) -> Iterator[Sent]:
    body = {**each.document, "input_data": each.subject or {}}
    yield _sent(each, "POST", "/workflows/dry-run", body)


# Where the hub reads an object that is in another: a document stands in place of the mark.
_INSIDE = {
    "/services": b'{"name": "n", "url": "http://127.77.0.1:9", "circuit_breaker": @}',
    "/registry/connections": b'{"name": "n", "type": "HTTP", "config": @}',
    "/registry/credentials": b'{"name": "n", "type": "BASIC_AUTH", "secret": @}',
    "/registry/integrations": b'{"name": "n", "request_mapping": @, "target": @}',
    "/workflows/of-documents/execute": b'{"input_data": @}',
    "/workflows/dry-run": b'{"workflow": "of-documents", "mocks": @}',
    "/workflows/validate": b'{"name": "n", "steps": [{"id": "a", "retry": @, "input": @}]}',
    "/schedules": b'{"name": "n", "workflow": "of-documents", "cron": "* * * * *", "input": @}',
    "/webhooks": b'{"name": "n", "workflow": "of-documents", "credential": "n", "mapping": @}',
    "/keys": b'{"name": "n", "service_names": @}',
    "/models": b'{"name": "n", "capabilities": @}',
    "/v1/chat/completions": b'{"model": "n", "messages": [{"role": "user", "content": @}]}',
    "/monitoring/channels": b'{"name": "n", "type": "WEBHOOK", "config": @}',
}


def _body(each: Hostile, _: str) -> Iterator[Sent]:
    for path, around in _INSIDE.items():
        yield _sent(each, "POST", path, each.document)
        yield _sent(each, "POST", path, around.replace(b"@", each.document[:900_000]))


def _patch(each: Hostile, name: str) -> Iterator[Sent]:
    yield _sent(each, "POST", "/services", {"name": name, "url": URL, "metadata": each.subject})
    yield _sent(each, "PATCH", f"/services/{name}", {"metadata": each.document})


def _typed(each: Hostile, name: str) -> Iterator[Sent]:
    """Nothing but a form takes it as a text: so it is a body."""
    yield _sent(each, "POST", "/workflows/validate", each.document.encode())


def _tags(each: Hostile, _: str) -> Iterator[Sent]:
    for header in ("If-Match", "If-None-Match"):
        headers = {header: each.document}
        yield _sent(each, "PATCH", "/services/of-documents", {"metadata": {}}, **headers)
        yield _sent(each, "GET", "/services/of-documents", b"", **headers)


def _pattern(each: Hostile, name: str) -> Iterator[Sent]:
    key = {"name": name, "role": "SERVICE", "service_names": [each.document]}
    yield _sent(each, "POST", "/keys", key)
    # One that is refused is nobody's: with one that was stored nevertheless it is tried too.
    text = factories.make_key("SERVICE", name=f"{name}-stored")[1]
    ApiKey.objects.filter(name=f"{name}-stored").update(service_names=[each.document])
    body = {"name": each.subject, "url": URL}
    yield _sent(each, "POST", "/services", body, Authorization=f"Bearer {text}")


def _reference(each: Hostile, name: str) -> Iterator[Sent]:
    names = (f"{n}{subject}"[:100] for n, subject in enumerate(each.subject))
    rows = [Workflow(name=name) for name in names]
    Workflow.objects.bulk_create(rows, ignore_conflicts=True)
    yield _sent(each, "GET", f"/workflows/{each.document[:4000]}", b"")
    step = {"id": "a", "type": "WORKFLOW", "workflow": each.document, "next": None}
    yield _sent(each, "POST", "/workflows/validate", {"name": name, "steps": [step]})


def _manifest(each: Hostile, _: str) -> Iterator[Sent]:
    files = [{"name": "a.yaml", "text": each.document}]
    yield _sent(each, "POST", "/manifests/apply", {"files": files})


_SENT: dict[str, Callable[[Hostile, str], Iterator[Sent]]] = {
    "schema": _schema,
    "expression": _template,
    "template": _template,
    "cron": _cron,
    "definition": _definition,
    "diff": _diff,
    "dry run": _dry_run,
    "body": _body,
    "patch": _patch,
    "typed": _typed,
    "tags": _tags,
    "pattern": _pattern,
    "reference": _reference,
    "manifest": _manifest,
}
