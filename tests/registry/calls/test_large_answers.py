"""Answers that take long to read do not hold up the loop that makes all calls."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from core.json import strict
from registry.calls.transport import LARGE_BYTES
from tests import factories
from tests.support.credentials import Reply, make_credential, serving

pytestmark = [pytest.mark.once, pytest.mark.django_db(transaction=True)]
SECRET = "bearer-0123456789"


@pytest.mark.usefixtures("shared_client")
@pytest.mark.parametrize("size", [10, LARGE_BYTES])
def test_only_a_large_answer_is_read_apart_and_neither_tells_a_secret(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = {"all": ["x" * size], "echo": SECRET}
    seen: list[str] = []
    parse = strict.parse

    def noting(body: Any, **more: Any) -> Any:
        if b"echo" in body:
            seen.append(threading.current_thread().name)
        return parse(body, **more)

    monkeypatch.setattr(strict, "parse", noting)
    with serving(lambda *_: Reply(200, json.dumps(answer).encode())) as base:
        token = make_credential(name="token", allowed_origins=[base])
        factories.make_service(f"large-{size}", urls=(base,), actions=("get",), credential=token)
        caller = factories.caller("OPERATOR")
        path = f"/registry/services/large-{size}/actions/get/execute"
        got = caller.post(path, {}, format="json")
    assert got.status_code == 200, got.content
    assert SECRET not in got.content.decode() and "x" * size in got.content.decode()
    # The threads of the pool of the loop.
    assert [name.startswith("uvloop") for name in seen] == [size >= LARGE_BYTES]
