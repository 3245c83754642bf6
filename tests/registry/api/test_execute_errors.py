"""Every class of error that calling an action over the API can answer, from real servers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from rest_framework.test import APIClient

from registry.models import ServiceAction
from tests import factories
from tests.support.credentials import Reply, serving
from tests.support.integrations import own_client
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)
SCHEMA = {
    "type": "object",
    "properties": {"goal": {"type": "string"}},
    "required": ["goal"],
}
GIVEN = {"input_data": {"goal": "tea"}}


@pytest.fixture(autouse=True)
def _client() -> Iterator[None]:
    with own_client():  # which knows nothing of services of other tests
        yield


class Target:
    """A service whose answer is what it is told to be."""

    def __init__(self) -> None:
        self.reply = Reply(200, b'{"plan": 1}')
        self.ending = threading.Event()
        self.hangs = False

    def answer(self, _: Any, __: bytes) -> Reply:
        if self.hangs:
            self.ending.wait(PATIENCE)
        return self.reply


@pytest.fixture
def target() -> Iterator[Target]:
    found = Target()
    yield found
    found.ending.set()


@pytest.fixture
def base(target: Target) -> Iterator[str]:
    with serving(target.answer) as url:
        yield url


def register(url: str, name: str = "planner", **fields: Any) -> None:
    service = factories.make_service(name, urls=(url,), **fields)
    outward = {"type": "object", "required": ["plan"]}
    ServiceAction.objects.create(
        service=service, name="plan", path="/plan", input_schema=SCHEMA, output_schema=outward
    )


def execute(body: Any = GIVEN, *, name: str = "planner", action: str = "plan", **how: Any) -> Any:
    how.setdefault("api", factories.caller())
    api, headers = how.pop("api"), how
    return api.post(f"/registry/services/{name}/actions/{action}/execute", body, **headers)


def check(answer: Any, status: int, code: str, *words: str) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), body
    assert answer["Content-Type"] == "application/problem+json"
    assert body["message"] == body["detail"]
    assert body["request_id"] == answer["X-Request-ID"]
    for word in words:
        assert word in body["detail"], body
    return body


def test_without_an_error_the_output_is_the_answer(base: str) -> None:
    register(base)
    assert execute().json() == {"plan": 1}


def test_what_the_caller_does_wrong(base: str) -> None:
    register(base)
    unknown = check(execute({"colour": {}}), 400, "validation_error")
    assert "colour" in unknown["errors"]
    api = factories.caller()
    url = "/registry/services/planner/actions/plan/execute"
    check(api.post(url, "{", content_type="application/json"), 400, "malformed_json")
    large = '{"input_data": {"goal": "' + "x" * 1_100_000 + '"}}'
    check(api.post(url, large, content_type="application/json"), 413, "payload_too_large")
    check(api.post(url, "a=b", content_type="text/csv"), 415, "unsupported_media_type")
    check(execute(api=APIClient()), 401, "unauthenticated")
    check(execute(api=factories.caller("AUDITOR")), 403, "permission_denied", "actions:execute")
    check(execute(name="nobody"), 404, "not_found", "nobody")
    check(execute(action="nothing"), 404, "not_found", "nothing")
    broken = check(execute({"input_data": {"goal": 1}}), 422, "schema_violation", "goal")
    assert list(broken["errors"]) == ["goal"]


def test_the_same_key_for_something_else_is_a_conflict(base: str) -> None:
    register(base)
    api = factories.caller()
    assert execute(api=api, HTTP_IDEMPOTENCY_KEY="k").status_code == 200
    other = {"input_data": {"goal": "coffee"}}
    assert execute(other, api=api, HTTP_IDEMPOTENCY_KEY="k").json()["code"] == "conflict"


def test_no_more_than_the_limit(base: str) -> None:
    register(base, limits={"per_second": 0.01, "burst": 1, "wait_seconds": 0})
    assert execute().status_code == 200
    answer = execute()
    check(answer, 429, "rate_limited")
    assert int(answer["Retry-After"]) > 50


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        (Reply(500, b'{"detail": "It broke."}'), "It broke."),
        (Reply(409, b'{"detail": "Not now."}'), "Not now."),
        (Reply(200, b"<html>"), "JSON"),
        (Reply(200, b'{"other": 1}'), "output schema"),
        (Reply(302, b"", Location="http://127.0.0.1/"), "302"),
        (Reply(200, b'"' + b"x" * 10_500_000 + b'"'), "10 MiB"),
    ],
)
def test_an_answer_that_is_of_no_use(target: Target, base: str, reply: Reply, word: str) -> None:
    register(base)
    target.reply = reply
    body = check(execute(), 502, "service_error", word)
    assert (body["service"], body["instance"], body["action"]) == ("planner", base, "plan")


def test_a_service_that_is_not_there(target: Target, base: str) -> None:
    register("http://127.0.0.1:9", "away")
    check(execute(name="away"), 503, "service_unavailable")
    register(base, "busy")
    target.reply = Reply(503, b'{"detail": "Too much to do."}', **{"Retry-After": "7"})
    answer = execute(name="busy")
    check(answer, 503, "service_unavailable", "Too much to do.")
    assert answer["Retry-After"] == "7"


def test_an_answer_that_comes_too_late(target: Target, base: str) -> None:
    register(base)
    target.hangs = True
    check(execute({**GIVEN, "timeout": 0.3}), 504, "service_timeout")


def test_a_circuit_that_is_open(target: Target, base: str) -> None:
    register(base, breaker={"failure_threshold": 1, "recovery_seconds": 30})
    target.reply = Reply(500, b"{}")
    check(execute(), 502, "service_error")
    answer = execute()
    check(answer, 503, "circuit_open", "its circuit is open")
    assert 0 < int(answer["Retry-After"]) <= 33
