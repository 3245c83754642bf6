"""The hub with a model of the fixed provider, as a team would have it: a key, a budget, a price."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import httpx2

from benchmarks.models.callers import Door
from benchmarks.testbed.hub import listens
from benchmarks.web.ground import InstalledHub
from tests.support.real_hub import ROOT
from tests.support.servers import ending_with_this, free_port
from tests.support.waiting import until

MODEL = "fixed"
# 10 tokens in and 5 out: 35 millionths of a dollar.
PRICE = {"input": "2.0", "output": "3.0"}
COST_NANOUSD = 35_000
TIMEOUT_SECONDS = 1  # of a request whose process is killed, before its lease ends
CHAT = (
    b'{"model": "fixed", "messages": [{"role": "system", "content": "You are a fixed model."},'
    b' {"role": "user", "content": "What is the answer to everything?"}], "max_tokens": 50%b}'
)
WHOLE = CHAT % b""
PROVIDER_KEY = "sk-of-the-provider"


def streamed(pieces: int, pause_ms: int) -> bytes:
    """Return a request for a stream of so many pieces, so many milliseconds apart."""
    body = CHAT.replace(b'"max_tokens": 50', b'"max_tokens": %d' % pieces)
    return body % (b', "stream": true, "seed": %d' % pause_ms)


@contextlib.contextmanager
def running_provider() -> Iterator[int]:
    """Run the provider; yield its port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.models.provider", str(port)],
        cwd=ROOT,
        preexec_fn=ending_with_this(signal.SIGKILL),
    )
    try:
        until(lambda: listens(port), "the provider listens")
        yield port
    finally:
        process.kill()
        process.wait()


def times_asked(port: int) -> int:
    """Return how often the provider was asked for an answer."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/asked") as answer:
        return int(answer.read())


def add_model(hub: InstalledHub, port: int, **configuration: Any) -> None:
    """Register the provider with its key, its model, a price, and budgets that bound all."""
    own_key, hub.key = hub.key, _key_for_secrets()
    hub.connect()
    hub.post("/registry/credentials", {
        "name": "provider-key", "type": "BEARER_TOKEN", "secret": {"token": PROVIDER_KEY},
        "allowed_origins": [f"http://127.0.0.1:{port}"],
    })  # fmt: skip
    hub.key = own_key
    hub.connect()
    hub.post("/registry/connections", {
        "name": "provider", "type": "HTTP", "base_url": f"http://127.0.0.1:{port}/v1",
        "credential": "provider-key",
    })  # fmt: skip
    hub.post("/models", {
        "model_id": MODEL, "provider": "CUSTOM", "connection": "provider",
        "capabilities": ["CHAT"], "max_tokens": 100, "configuration": configuration,
    })  # fmt: skip
    hub.post(f"/models/{MODEL}/prices", PRICE)
    for scope, subject in (("ALL", ""), ("MODEL", MODEL)):
        hub.post("/models/budgets", {
            "name": f"budget-{scope.lower()}", "scope": scope, "subject": subject,
            "period": "MONTH", "cost_limit": 1_000_000,
        })  # fmt: skip
    answer = httpx2.post(
        f"{hub.url}/v1/chat/completions",
        content=WHOLE,
        headers={"Authorization": f"Bearer {hub.keys[0]}", "Content-Type": "application/json"},
    )
    assert answer.status_code == 200, answer.text


def _key_for_secrets() -> str:
    """Return a key that may set secrets; Django is set up on the hub's database."""
    from core.api_keys import Grantable, issue_key
    from core.roles import SCOPES

    fields = {"name": "secrets", "role": "SECRET_ADMIN"}
    return issue_key(fields, may_grant=Grantable(frozenset(SCOPES)))[1]


def door_of(hub: InstalledHub) -> Door:
    return Door(hub.port, hub.keys[0])


def direct(port: int) -> Door:
    return Door(port, PROVIDER_KEY)
