"""An execution takes so many signals and has so many events, and ends where it has."""

from __future__ import annotations

from typing import Any

import pytest

from core.exceptions import Conflict
from tests.support.engine import ScriptedClient, ended, make_workflow, running_engine, start
from tests.support.waiting import until
from workflows import services
from workflows.invariants import check_executions

pytestmark = pytest.mark.django_db(transaction=True)
WAITING = [{"id": "e", "type": "EVENT", "event": "paid", "match": "event.amount > `5`"}]
APPROVED = [{"id": "a", "type": "APPROVAL", "minimum": 90}]
FULL = "It has 10 events, as many as an execution may have (EVENTS_PER_EXECUTION)."


def signal(execution: Any, amount: Any = 1) -> Any:
    return services.signal_execution(execution.pk, name="paid", payload={"amount": amount})


def test_execution_takes_so_many_signals_and_goes_on(settings: Any) -> None:
    settings.SIGNALS_PER_EXECUTION = 3
    execution = start(make_workflow(WAITING))
    for amount in (1, 1, 9):
        signal(execution, amount)
    sentence = "has taken 3 signals, as many as one may take .SIGNALS_PER_EXECUTION."
    with pytest.raises(Conflict, match=sentence):
        signal(execution)
    with running_engine(ScriptedClient()):
        assert ended(execution).output == {"amount": 9}


def test_limit_of_signals_is_of_each_execution(settings: Any) -> None:
    settings.SIGNALS_PER_EXECUTION = 1
    first, second = (start(make_workflow(WAITING, name=name)) for name in "ab")
    services.pause_execution(first.pk)
    services.resume_execution(first.pk)
    signal(first), signal(second)
    for execution in (first, second):
        with pytest.raises(Conflict):
            signal(execution)


ACTS = {
    "signals": lambda execution, _: signal(execution),
    "pauses": lambda execution, n: (
        services.resume_execution if n % 2 else services.pause_execution
    )(execution.pk),
    "approvals": lambda execution, n: services.decide_approval(
        execution.pk, "a", approve=True, actor=f"person-{n}"
    ),
}


@pytest.mark.parametrize("kind", ACTS)
def test_execution_with_so_many_events_ends_and_says_why(settings: Any, kind: str) -> None:
    settings.EVENTS_PER_EXECUTION = 10
    execution = start(make_workflow(APPROVED if kind == "approvals" else WAITING))
    with running_engine(ScriptedClient()):
        until(lambda: execution.steps.filter(status="WAITING").exists())
        for number in range(9):
            ACTS[kind](execution, number)
        found = ended(execution)
    (error,) = found.errors
    assert (found.status, error["code"], error["message"]) == ("FAILED", "history_full", FULL)
    assert [found.events.count(), found.last_sequence] == [11, 11], "the end is told too"
    assert set(found.steps.values_list("status", flat=True)) == {"CANCELLED"}
    with pytest.raises(Conflict):
        ACTS[kind](execution, 10)
    with pytest.raises(Conflict, match="It cannot be retried; run it again"):
        services.retry_execution(execution.pk)
    assert not list(check_executions())


def test_events_of_the_engine_count_too(settings: Any) -> None:
    """Signals that no expression can judge are set aside, each with an event."""
    settings.EVENTS_PER_EXECUTION = 10
    step = {**WAITING[0], "match": "add(event.amount, `1`) > `5`"}
    execution = start(make_workflow([step]))
    for _ in range(5):
        signal(execution, "nine")
    with running_engine(ScriptedClient()):
        found = ended(execution)
    assert (found.status, found.errors[0]["code"]) == ("FAILED", "history_full")
    assert not list(check_executions())


def test_what_an_ended_one_did_is_undone(settings: Any) -> None:
    settings.EVENTS_PER_EXECUTION = 10
    undo = {"service": "s", "action": "undo"}
    book = {"id": "book", "service": "s", "action": "book", "compensate": undo, "next": "e"}
    client = ScriptedClient(book=lambda _: {}, undo=lambda _: {})
    execution = start(make_workflow([book, WAITING[0]]))
    with running_engine(client) as engine:
        until(lambda: execution.steps.filter(status="WAITING").exists())
        for _ in range(9):
            signal(execution)
        engine.look()
        found = ended(execution)
    assert (found.status, client.called("undo")) == ("FAILED", 1)
    assert found.errors[0]["code"] == "history_full"


def test_signals_that_come_together_do_not_go_beyond(settings: Any) -> None:
    settings.EVENTS_PER_EXECUTION, settings.SIGNALS_PER_EXECUTION = 10, 100
    execution = start(make_workflow(WAITING))
    signals = [services.SentSignal(execution_id=execution.pk, name="paid") for _ in range(12)]
    answers = services.signal_many(signals)
    refused = [str(answer) for answer in answers if isinstance(answer, Conflict)]
    assert refused == [f"{FULL} It takes no more signals."] * 3
    with running_engine(ScriptedClient()):
        found = ended(execution)
    assert (found.status, found.events.filter(kind="SIGNAL").count()) == ("FAILED", 9)
