"""Documents that cost more than they weigh, while others ask for something."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User

from tests import factories
from tests.security.document_requests import Sent, requests
from tests.security.findings import Findings, say
from tests.security.world import Caller, by_session
from tests.support.hostile_documents import HOSTILE
from tests.support.real_hub import Hub

ANSWERED, OTHERS = "hostile documents, sent", "what others wait meanwhile"
# How long one may take, and how long another caller may wait at the 99th percentile, in seconds.
MOST_SECONDS, MOST_OTHERS = 10.0, 0.1
# Between two requests of the others.
PAUSE = 0.005
# How many the others ask without anything hostile, to see how busy the machine is.
QUIET = 200
SHOWN = 3


def run(caller: Caller, findings: Findings, hub: Hub) -> None:
    from core.roles import SCOPES

    text = factories.make_key(name="of-documents", scopes=sorted(SCOPES))[1]
    headers = {"X-API-Key": text}
    factories.make_workflow("of-documents")
    factories.make_service("of-documents", urls=("http://127.77.0.1:9",), owner="of-documents")
    factories.make_service("of-others", urls=("http://127.77.0.1:9",))
    person = by_session("drawer", User.objects.create_superuser("drawer"), None)
    sent = requests()
    with Others(hub.url) as others:
        quiet = others.asked(QUIET)
        others.waits.clear()
        for each in sent:
            others.during = f"{each.title} at {each.path[:60]}"
            who = person.headers if each.session else headers
            began = time.monotonic()
            answer = caller.send(
                each.method, each.path, headers=_headers(each, who), content=each.content
            )
            seconds = time.monotonic() - began
            told = f"{each.title} at {each.path[:80]}: {answer.status_code} after {seconds:.1f} s"
            # Nobody listens where an action is, which is what 503 says.
            is_answered = answer.status_code < 500 or answer.status_code == 503
            findings.hold(ANSWERED, is_answered and seconds < MOST_SECONDS, told)
    tell_waits(findings, OTHERS, quiet, others.waits, f"{len(HOSTILE)} in {len(sent)} requests")


def _headers(each: Sent, who: dict[str, str]) -> dict[str, str]:
    content = {"Content-Type": "application/json"} if each.content else {}
    return {**who, **content, **each.headers}


@dataclass(frozen=True, order=True)
class Wait:
    """How long somebody else waited, for what, and what was hostile then."""

    seconds: float
    asked: str
    during: Any = field(compare=False)


def tell_waits(
    findings: Findings, section: str, quiet: list[Wait], waits: list[Wait], what: str
) -> None:
    """Print how long others waited during hostile documents, and hold it against the bound."""
    most, without = p99(waits), p99(quiet)
    say(
        f"  {section}, {what}; others, asking all the time:"
        f" {len(waits):,} answers, 99 % within {most * 1000:.0f} ms"
        f" ({without * 1000:.0f} ms without hostile documents)"
    )
    for wait in sorted(waits, reverse=True)[:SHOWN]:
        say(f"    {wait.seconds * 1000:.0f} ms: {wait.asked}, during {wait.during}")
    # On a machine that is busy with something else the others wait for that besides.
    is_held = most < MOST_OTHERS + without
    findings.hold(section, is_held, f"99 % within {most * 1000:.0f} ms")


def p99(waits: list[Wait]) -> float:
    """Return within how many seconds 99 of 100 were answered."""
    ordered = sorted(wait.seconds for wait in waits)
    return ordered[int(len(ordered) * 0.99)] if ordered else 0.0


ASKED: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/registry/services?search=nothing", None),
    ("GET", "/discovery/services", None),
    ("POST", "/services/of-others/heartbeat", None),
    ("POST", "/workflows/validate", None),
)


class Others:
    """Other callers, each with a key of its own, who ask for something small all the time."""

    def __init__(self, url: str, asked: Sequence[tuple[str, str, Any]] = ASKED) -> None:
        self.waits: list[Wait] = []
        self.during: Any = None
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(Caller(url), *request)) for request in asked
        ]

    def _ask(self, caller: Caller, method: str, path: str, body: Any) -> None:
        headers = {"X-API-Key": factories.make_key("OPERATOR")[1]}
        while not self._ended.wait(PAUSE):
            began = time.monotonic()
            answer = caller.send(method, path, headers=headers, json=body)
            assert answer.status_code < 500, answer.text
            self.waits.append(Wait(time.monotonic() - began, f"{method} {path}", self.during))

    def asked(self, number: int) -> list[Wait]:
        """Return how long they waited once each has asked some times."""
        while len(self.waits) < number * len(self._threads):
            self._ended.wait(0.05)
        return [*self.waits]

    def __enter__(self) -> Others:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
