"""Signals that are gathered do, and are answered byte by byte, as those sent to the view."""

import json
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from integration_site.front.django_middleware import with_common_headers
from tests.factories import make_key
from tests.support.engine import call, make_workflow, start
from tests.support.web_requests import by_django, comparable, web_request
from workflows import services
from workflows.api.gathered_signals import answer_signals
from workflows.models import WorkflowExecution
from workflows.services import SentSignal, signal_many
from workflows.services.executions import signals

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("keys_stay_known"),
]


def waiting(*names: str, **more: Any) -> WorkflowExecution:
    """An execution with a step for each of these events, which waits for it."""
    execution = start(make_workflow([call("a")], name=f"w{WorkflowExecution.objects.count()}"))
    first = execution.steps.get()
    for number, name in enumerate(names):
        first.pk, first.path = None, f"e{number}"
        first._state.adding = True
        first.id = type(first)._meta.pk.get_default()
        first.status, first.input, first.wake_at = "WAITING", {"event": name, "until": None}, None
        first.save()
    WorkflowExecution.objects.filter(pk=execution.pk).update(**{"status": "WAITING"} | more)
    return execution


def events_of(execution: WorkflowExecution) -> list[tuple[int, str, Any]]:
    rows = execution.events.order_by("sequence").values_list("sequence", "kind", "payload")
    return [(number, kind, payload) for number, kind, payload in rows if kind == "SIGNAL"]


def statuses(execution: WorkflowExecution) -> dict[str, str]:
    return dict(execution.steps.exclude(path="a").values_list("path", "status"))


def test_signals_of_one_batch_reach_their_executions_in_their_order():
    one, two = waiting("go", "stop"), waiting("go", "other")
    held = waiting("go", status="PAUSED")
    ended = waiting("go", status="COMPLETED")
    answers = signal_many(
        [
            SentSignal(execution_id=two.pk, name="other", payload=[1]),
            SentSignal(execution_id=str(one.pk), name="go", payload={"é": None}, actor="me"),
            SentSignal(execution_id=ended.pk, name="go"),
            SentSignal(execution_id="01a228b9-1a27-78d3-ab51-1bb783ab3f0b", name="go"),
            SentSignal(execution_id=one.pk, name="late"),
            SentSignal(execution_id=held.pk, name="go"),
        ]
    )
    ways = [type(answer).__name__ for answer in answers]
    assert ways == ["WorkflowExecution"] * 2 + ["Conflict", "NotFound"] + ["WorkflowExecution"] * 2
    assert events_of(one) == [
        (2, "SIGNAL", {"name": "go", "payload": {"é": None}}),
        (3, "SIGNAL", {"name": "late", "payload": None}),
    ]
    one.refresh_from_db()
    assert one.last_sequence == 3
    assert statuses(one) == {"e0": "PENDING", "e1": "WAITING"}
    assert statuses(two) == {"e0": "WAITING", "e1": "PENDING"}
    assert (statuses(ended), events_of(ended)) == ({"e0": "WAITING"}, [])
    step = held.steps.get(path="e0")
    assert (step.status, step.wake_at) == ("PENDING", None)
    assert step.held_wake_at is not None


def test_limit_holds_within_a_batch(settings):
    settings.SIGNALS_PER_EXECUTION = 2
    execution = waiting()
    answers = signal_many([SentSignal(execution_id=execution.pk, name="go") for _ in range(4)])
    assert [isinstance(answer, Exception) for answer in answers] == [False, False, True, True]
    assert len(events_of(execution)) == 2


@pytest.mark.parametrize("number", [1, 20])
def test_a_batch_takes_as_many_statements_as_one_signal(number):
    sent = [SentSignal(execution_id=waiting("go").pk, name="go") for _ in range(number)]
    with CaptureQueriesContext(connection) as queries:
        signal_many(sent)
    is_server = connection.vendor == "postgresql"
    # SQLite inserts events one by one.
    assert len(queries) <= (8 if is_server else 7 + number), [q["sql"][:80] for q in queries]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite takes any text")
def test_what_the_database_does_not_take_fails_alone():
    execution = waiting()
    sent = [SentSignal(execution_id=execution.pk, name="go", payload=p) for p in (1, "\x00", 3)]
    answers = signal_many(sent)
    assert [isinstance(answer, Exception) for answer in answers] == [False, True, False]
    assert [payload["payload"] for _, _, payload in events_of(execution)] == [1, 3]


def path_of(execution: Any, above: str = "/api") -> str:
    return f"{above}/executions/{getattr(execution, 'pk', execution)}/signal"


def test_each_is_answered_as_the_view_answers_it():
    key = make_key("OPERATOR", name="op")[1]
    bodies = [
        {"name": "go", "payload": {"é": [1.50]}},
        {"name": "x"},
        {"name": "go", "payload": "\u2028"},
    ]
    pairs = [(waiting("go"), waiting("go")) for _ in bodies]
    requests = [
        web_request(path_of(one), body, key=key)
        for (one, _), body in zip(pairs, bodies, strict=True)
    ]
    gathered = answer_signals(requests)
    for (_, other), body, answer in zip(pairs, bodies, gathered, strict=True):
        expected = by_django(web_request(path_of(other), body, key=key))
        assert answer is not None
        told = [comparable(a) for a in (with_common_headers(answer, "http"), expected)]
        texts = [text.replace(other.workflow_name, "w0") for *_, text in told]
        assert [head[:2] for head in told] == [told[0][:2]] * 2
        one, two = (json.loads(text) | {"workflow_name": ""} for text in texts)
        assert one == two


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({}, {}),
        ({"name": "x" * 201}, {}),
        ({"name": ""}, {}),
        ({"name": 1}, {}),
        ({"name": "go", "more": 1}, {}),
        ({"name": "go"}, {"idempotency-key": "k"}),
        ({"name": "go"}, {"authorization": "Bearer no"}),
    ],
)
def test_what_is_unusual_is_for_the_view(body, headers):
    execution, key = waiting("go"), make_key("OPERATOR")[1]
    request = web_request(path_of(execution), body, key=key, headers=headers)
    assert answer_signals([request]) == [None]
    assert events_of(execution) == []


def test_only_those_who_may_control_an_execution_signal_it():
    execution = waiting("go", started_by="owner")
    owner = make_key(name="owner", scopes=["workflows:execute"])[1]
    other = make_key(name="other", scopes=["workflows:execute"])[1]
    viewer = make_key("VIEWER")[1]
    for key, status in ((owner, 200), (other, 403), (viewer, 403)):
        request = web_request(path_of(execution), {"name": "go"}, key=key)
        (answer,) = answer_signals([request])
        assert (answer and answer.status) == (200 if status == 200 else None)
        if answer is None:
            assert by_django(request).status == status
    unknown = [web_request(path_of(x), {"name": "go"}, key=owner) for x in ("no", execution.pk.hex)]
    assert [answer and answer.status for answer in answer_signals(unknown)] == [None, 200]


def test_an_outage_during_the_commit_is_not_tried_again(monkeypatch):
    execution, key = waiting("go"), make_key("OPERATOR")[1]

    def fail(*events: Any) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(signals, "insert_rows", fail)
    (answer,) = answer_signals([web_request(path_of(execution), {"name": "go"}, key=key)])
    assert answer is not None
    assert (answer.status, dict(answer.headers)["Retry-After"]) == (503, "5")
    monkeypatch.undo()

    def no_read(*_: Any) -> None:
        raise OperationalError("gone after the commit")

    monkeypatch.setattr(services, "get_execution", no_read)
    (answer,) = answer_signals([web_request(path_of(execution), {"name": "go"}, key=key)])
    assert answer is not None
    assert answer.status == 503
    assert len(events_of(execution)) == 1
