"""Starts that are gathered are answered byte by byte as the views answer them."""

import asyncio
import json
from typing import Any

import pytest
from django.db import OperationalError, connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.api.exchange import WebAnswer
from integration_site.front.django_middleware import with_common_headers
from integration_site.front.django_pool import DjangoPool
from integration_site.front.gathering import Gatherer
from tests.factories import make_key
from tests.support.engine import ScriptedClient, call, make_workflow, running_engine
from tests.support.hypothesis_settings import in_proportion
from tests.support.web_requests import by_django, comparable, django, web_request
from workflows.api import gathered_starts
from workflows.api.gathered_starts import answer_starts
from workflows.models import Workflow, WorkflowExecution, WorkflowStatus, WorkflowType
from workflows.services.executions import start as start_module

pytestmark = pytest.mark.django_db(transaction=True)
EXECUTE = "/api/workflows/w/execute"


@pytest.fixture
def key() -> str:
    make_workflow([call("a")])
    return make_key("OPERATOR", name="op")[1]


def compare(*requests: tuple[Any, ...], plain: bool | None = None, **options: Any) -> None:
    """Hold answers of the gatherer, if it gives them, against those of the views."""
    made = [(web_request(*r, **options), web_request(*r, **options)) for r in requests]
    gathered = answer_starts([first for first, _ in made])
    for (_, second), answer in zip(made, gathered, strict=True):
        if plain is not None:
            assert (answer is not None) == plain
        expected = by_django(second)
        if answer is not None:
            answer = with_common_headers(answer, second.scope["scheme"])
            assert comparable(answer) == comparable(expected)
        else:
            assert plain is not True


def test_starts_of_one_batch_are_answered_as_the_view_does(key):
    make_workflow([call("a"), call("b")], name="W 2.b", timeout=60)
    make_workflow([{"id": "t", "type": "TRANSFORM", "name": "Ö", "output": {}}], name="t")
    make_workflow([call("a")], name="limited", concurrency=10)
    of_type = make_workflow([call("a")], name="typed")
    of_type.type = WorkflowType.PROJECT_PLANNING
    of_type.save()
    workflow_id = str(of_type.pk)
    compare(
        (EXECUTE, {"input_data": {"a": 1.50, "é": "\u2028\u00a0<&>\U0001f600", "b": [None, {}]}}),
        ("/workflows/w/execute/", b""),
        ("/workflows/w 2.B/execute", {"input": {"n": 10**30}, "context": {"correlation_id": "c"}}),
        ("/api/workflows/t/execute", {"data": {"n": 1e300}, "priority": -100, "wait": 0}),
        ("/workflows/limited/execute", {"priority": 7}),
        ("/workflows/limited/execute", {"version": 1}),
        (f"/workflows/{workflow_id}/execute", {"version": None}),
        ("/workflows/execute", {"workflow": "w", "options": {"wait": 0, "priority": 3}}),
        ("/workflows/execute", {"workflow_id": workflow_id, "options": {"timeout": 0}}),
        ("/workflows/execute", {"type": "PROJECT_PLANNING", "options": {"wait": 0}}),
        plain=True,
        key=key,
    )  # fmt: skip


def test_those_that_wait_for_a_slot_say_their_positions(key):
    make_workflow([call("a")], name="limited", concurrency=1)
    path = "/workflows/limited/execute"
    answers = answer_starts([web_request(path, key=key) for _ in range(3)])
    answers.append(by_django(web_request(path, key=key)))
    bodies = [json.loads(answer.body) for answer in answers if answer]
    assert [body["queue_position"] for body in bodies] == [None, 1, 2, 3]
    assert [body["queued"] for body in bodies] == [False, True, True, True]


@pytest.mark.parametrize(
    "path",
    [
        "/workflows/none/execute", "/workflows/idle/execute", "/registry/workflows/w/execute",
        "/workflows//execute",
    ],
)  # fmt: skip
def test_a_workflow_that_cannot_be_started_is_for_the_view(key, path):
    idle = make_workflow([call("a")], name="idle")
    idle.status = WorkflowStatus.INACTIVE
    idle.save()
    compare((path, {}), (EXECUTE, {"version": 9}), plain=False, key=key)


@pytest.mark.parametrize(
    ("options", "plain"),
    [
        ({}, True),
        ({"scheme": "https"}, True),
        ({"headers": {"host": "LOCALHOST"}}, True),
        ({"headers": {"cookie": "sessionid=1"}}, False),
        ({"headers": {"content-type": "text/plain"}}, False),
        ({"headers": {"content-type": "application/problem+json; charset=utf-8"}}, True),
        ({"headers": {"authorization": "Bearer si_no_no"}}, False),
        ({"headers": {"authorization": ""}}, False),
        ({"headers": {"idempotency-key": "x" * 256}}, False),
        ({"headers": {"idempotency-key": "\x01"}}, False),
        ({"query": "wait=1"}, False),
        ({"method": "PUT"}, False),
        ({"method": "OPTIONS"}, False),
    ],
)
def test_headers_are_heeded_as_the_view_heeds_them(key, options, plain):
    compare((EXECUTE, {"input": {}}), plain=plain, **{"key": key} | options)


def test_scopes_and_networks_of_keys_are_heeded(key):
    for fields, plain in (
        ({"role": "VIEWER"}, False),
        ({"scopes": ["workflows:execute"]}, True),
        ({"networks": ["10.0.0.0/8"]}, False),
    ):
        own = make_key(**fields)[1]
        compare((EXECUTE, {}), plain=plain, key=own)


def test_limit_of_a_key_is_counted_once_for_each_request():
    make_workflow([call("a")])
    key = make_key("OPERATOR", requests_per_minute=3)[1]
    answers = [answer_starts([web_request(EXECUTE, key=key)])[0] for _ in range(3)]
    left = [dict(answer.headers)["RateLimit-Remaining"] for answer in answers if answer]
    assert left == ["2", "1", "0"]
    refused = web_request(EXECUTE, key=key)
    assert answer_starts([refused]) == [None]
    assert by_django(refused).status == 429
    unread = web_request(EXECUTE, {"nope": 1}, key=make_key("OPERATOR", requests_per_minute=1)[1])
    assert answer_starts([unread]) == [None]
    assert by_django(unread).status == 400


def test_a_known_key_is_answered_with_its_execution(key):
    headers = {"idempotency-key": "k"}
    requests = [web_request(EXECUTE, key=key, headers=headers) for _ in range(2)]
    answers = answer_starts(requests)
    again = by_django(web_request(EXECUTE, key=key, headers=headers))
    ids = {json.loads(answer.body)["id"] for answer in (*answers, again)}
    assert len(ids) == WorkflowExecution.objects.count() == 1
    assert comparable(with_common_headers(answers[1], "http")) == comparable(again)
    assert answer_starts([web_request(EXECUTE, {"input": {"x": 1}}, key=key, headers=headers)]) == [
        None
    ]


def test_a_bad_one_among_good_ones_fails_alone(key):
    requests = [web_request(EXECUTE, {"version": version}, key=key) for version in (None, 9, None)]
    answers = answer_starts(requests)
    assert [answer and answer.status for answer in answers] == [202, None, 202]
    assert by_django(requests[1]).status == 400
    assert WorkflowExecution.objects.count() == 2


def test_an_outage_during_the_commit_is_not_tried_again(key, monkeypatch):
    """It may be stored: the caller is to decide, with its Idempotency-Key, to send it again."""

    def fail(executions: Any) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(start_module, "insert_executions", fail)
    compare((EXECUTE, {}), (EXECUTE, {}), plain=True, key=key)


def test_an_outage_between_starts_leaves_those_before_it_alone(key, monkeypatch):
    """What has been stored is answered: the view would store it once more."""

    def fail(*_: Any, **__: Any) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(gathered_starts.mediator, "send", fail)
    requests = [web_request(EXECUTE, key=key), web_request("/workflows/project-planning", key=key)]
    assert [answer and answer.status for answer in answer_starts(requests)] == [202, None]
    assert WorkflowExecution.objects.count() == 1


@pytest.mark.parametrize("is_gathered", [True, False])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        (EXECUTE, {"wait": 20}),
        ("/workflows/execute", {"workflow": "w", "options": {"wait": 20}}),
        ("/api/workflows/execute", {"type": "PROJECT_PLANNING"}),
        ("/api/workflows/project-planning", {"wait": 0}),
    ],
)
def test_what_is_waited_for_is_started_once_and_answered_at_its_end(key, path, body, is_gathered):
    Workflow.objects.update(type=WorkflowType.PROJECT_PLANNING)
    request, pool = web_request(path, body, key=key), DjangoPool(django(), threads=2, share=2)
    if is_gathered:
        assert answer_starts([request]) == [None]
        assert WorkflowExecution.objects.count() == 1

    async def ask(engine: Any) -> WebAnswer:
        answered = asyncio.create_task(pool.answer(request, caller="c"))
        while not answered.done():
            engine.look()
            await asyncio.sleep(0.05)
        return answered.result()

    with running_engine(ScriptedClient(a=lambda document: {"ok": True})) as engine:
        answer = asyncio.run(ask(engine))
    pool.close()
    shown = json.loads(answer.body)
    assert (answer.status, shown["status"], len(shown["steps"])) == (200, "COMPLETED", 1)
    assert shown["context"] == {"request_id": "request-1"}
    assert WorkflowExecution.objects.count() == 1


def test_32_callers_at_once_are_answered_by_few_commits(key):
    batches: list[int] = []

    def counted(requests: Any) -> Any:
        batches.append(len(requests))
        try:
            return answer_starts(requests)
        finally:
            connection.close()  # that of the gatherer's thread, which stays for longer than a test

    async def ask() -> list[WebAnswer | None]:
        gatherer = Gatherer(counted)
        bodies = [{"input": {"n": number}} for number in range(32)]
        asked = (gatherer.answer(web_request(EXECUTE, body, key=key)) for body in bodies)
        try:
            return await asyncio.gather(*asked)
        finally:
            gatherer.close()

    answers = [json.loads(answer.body) for answer in asyncio.run(ask()) if answer]
    assert [answer["input"]["n"] for answer in answers] == list(range(32))
    assert WorkflowExecution.objects.filter(pk__in={a["id"] for a in answers}).count() == 32
    assert sum(batches) == 32
    assert len(batches) <= 2, batches


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=4)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "input_data": OBJECTS | JSON,
        "input": OBJECTS,
        "context": OBJECTS | st.just({"correlation_id": "x" * 200, "request_id": 7}),
        "wait": st.sampled_from([0, 0.0, "0", -1, True, None, "x", 61]),
        "priority": st.integers(-101, 101) | st.sampled_from([5.0, "5", None, True, 10**400]),
        "version": st.sampled_from([None, 1, 2, 0, "1", 1.0, True]),
        "nope": JSON,
    },
)


@settings(
    max_examples=in_proportion(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(body=BODIES)
def test_any_body_is_answered_as_the_view_does(key, body):
    compare((EXECUTE, json.dumps(body).encode()), key=key)


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b"{", b'{"input": {"a": 1, "a": 2}}', b'{"input": {"a": NaN}}', b"null", b" {} ",
        b'{"input": {"a": "\\u0000"}}', b'{"input": {"a": "\\ud800"}}', b'{"input": "\xff"}',
        b'{"input": ' + b'{"a":' * 40 + b"1" + b"}" * 41,
        b'{"input": {"a": "' + b"x" * 250_000 + b'"}}',
    ],
)  # fmt: skip
def test_bodies_that_are_no_plain_json_are_for_the_view(key, body):
    compare((EXECUTE, body), key=key)
