"""Documents that cost more than they weigh, while somebody else asks for something."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from tests import factories
from tests.security.findings import Findings, say
from tests.security.world import Caller
from tests.support.real_hub import Hub

ANSWERED, OTHERS = "hostile documents", "what others wait meanwhile"
# How long one may take, and how long another caller may wait at the 99th percentile.
MOST_SECONDS, MOST_OTHERS_SECONDS = 10.0, 1.0
LARGE = 20_000
CRONS = {
    "a cron of all": ",".join(map(str, range(60))) * 20 + " * * * *",
    "a cron that never is": "0 0 30 2 *",
    "a long cron": "*/1 " * 5000,
}


def run(caller: Caller, findings: Findings, hub: Hub) -> None:
    from core.roles import SCOPES

    text = factories.make_key(name="of-documents", scopes=sorted(SCOPES))[1]
    headers = {"X-API-Key": text}
    with Bystander(hub.url, headers) as bystander:
        for title, path, body in hostile():
            began = time.monotonic()
            answer = caller.send("POST", path, headers=headers, json=body)
            seconds = time.monotonic() - began
            sentence = f"{title} at {path}: {answer.status_code} after {seconds:.1f} s"
            # Nobody listens where an action is, which is what 503 says.
            is_answered = answer.status_code < 500 or answer.status_code == 503
            findings.hold(ANSWERED, is_answered and seconds < MOST_SECONDS, sentence)
    waited = sorted(bystander.waited)
    p99 = waited[int(len(waited) * 0.99)] if waited else 0.0
    say(f"  others, asking all the time: {len(waited):,} answers, 99 % within {p99 * 1000:.0f} ms")
    findings.hold(OTHERS, p99 < MOST_OTHERS_SECONDS, f"99 % within {p99:.2f} s")


class Bystander:
    """Another caller, who asks for something small all the time."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self._caller, self._headers = Caller(url), headers
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.waited: list[float] = []

    def _ask(self) -> None:
        while not self._ended.wait(0.02):
            began = time.monotonic()
            self._caller.send("GET", "/registry/services?search=nothing", headers=self._headers)
            self.waited.append(time.monotonic() - began)

    def __enter__(self) -> Bystander:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def hostile() -> Iterator[tuple[str, str, Any]]:
    """Yield documents with where they are sent."""
    for title, schema in _schemas():
        action = {"name": "a", "input_schema": schema}
        body = {"name": "costly", "url": "http://127.77.0.1:9", "actions": [action]}
        yield title, "/registry/services", body
        yield title, "/registry/services/costly/actions/a/execute", {"input_data": _nested(10)}
    for title, expression in _expressions():
        step = {"id": "a", "type": "TRANSFORM", "output": {"x": expression}, "next": None}
        yield title, "/workflows/validate", {"name": "x", "steps": [step]}
        yield title, "/workflows/dry-run", {"steps": [step], "input_data": {"a": list(range(2000))}}
    for title, cron in CRONS.items():
        yield title, "/schedules/preview", {"cron": cron}
    many = [{"id": f"s{n}", "type": "TRANSFORM", "output": {}, "next": f"s{n + 1}"}
            for n in range(2000)]  # fmt: skip
    yield "a chain of steps", "/workflows/validate", {"name": "x", "steps": many}
    loop = [{"id": "a", "type": "TRANSFORM", "output": {}, "next": "a"}]
    yield "a step that follows itself", "/workflows/validate", {"name": "x", "steps": loop}


def _nested(depth: int) -> Any:
    document: Any = {"a": 1}
    for _ in range(depth):
        document = {"a": document, "b": document}
    return document


def _schemas() -> Iterator[tuple[str, Any]]:
    itself = {"$ref": "#"}
    yield "three of itself", {"allOf": [{"properties": {"a": itself, "b": itself}}] * 3}
    yield "any of itself", {"anyOf": [itself, itself, {"type": "object"}]}
    yield "one of many", {"oneOf": [{"properties": {"a": itself}}] * 50}
    yield "not not", _repeated({"type": "string"}, "not", 200)
    yield "a pattern of stars", {"properties": {"a": {"pattern": "(a*)*(a*)*b$"}}}
    yield "a large pattern", {"patternProperties": {f"(x{n}|y)+$": {} for n in range(1000)}}
    ring = {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}
    yield "references in a ring", {"$ref": "#/$defs/a", "$defs": ring}
    yield "a large enum", {"enum": list(range(LARGE))}
    yield "a remote reference", {"$ref": "http://127.0.0.1:9/schema"}


def _repeated(inner: Any, name: str, times: int) -> Any:
    for _ in range(times):
        inner = {name: inner}
    return inner


def _expressions() -> Iterator[tuple[str, str]]:
    yield "projections in projections", "$." + "input.a[*].[@,@]" + "[].[@,@]" * 20
    yield "a deep expression", "$.input" + "[?a]" * 500
    yield "a long expression", "$.input.a || " * 2000 + "$.input.a"
    yield "sorts in sorts", "$.sort(" * 200 + "input.a" + ")" * 200
    yield "joins", "$.join('" + "x" * 5000 + "', input.a)"
    if find_spec("tests.support.hostile_documents"):
        corpus = import_module("tests.support.hostile_documents")
        for number, text in enumerate(getattr(corpus, "EXPRESSIONS", ())):
            yield f"expression {number}", f"$.{text}"
