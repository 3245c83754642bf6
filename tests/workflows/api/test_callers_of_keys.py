"""An Idempotency-Key is its caller's alone, and what the hub says is not the caller's to say."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from core.exceptions import ValidationFailed
from tests import factories
from tests.support.credentials import make_credential
from tests.support.engine import ScriptedClient, call, ended, running_engine
from tests.support.engine import make_workflow as store_workflow
from tests.support.web_requests import by_django, web_request
from tests.workflows.api.test_webhooks import SECRET, make_webhook, send
from workflows import services
from workflows.api.gathered_starts import answer_starts
from workflows.engine.store.child_executions import _depth_of
from workflows.execution_rows import HUB_NAMES, Start
from workflows.models import Webhook, WorkflowExecution
from workflows.validation import validate

pytestmark = pytest.mark.django_db
EXECUTE = "/workflows/w/execute"
# Both ways of a start: in a batch before Django, and through the view.
WAYS = {"gathered": lambda request: answer_starts([request])[0], "view": by_django}


@pytest.fixture
def keys() -> list[str]:
    store_workflow([call("a")])
    return [factories.make_key("SERVICE", name=name)[1] for name in ("one", "other")]


def ask(way: str, key: str, body: Any = None, **options: Any) -> tuple[int, dict[str, Any]]:
    headers = {"idempotency-key": options.pop("idempotency_key", "k")}
    path = options.pop("path", EXECUTE)
    request = web_request(path, body or {}, key=key, headers=headers, **options)
    # What is no plain start is left to the view.
    answer = WAYS[way](request) or by_django(request)
    return answer.status, json.loads(answer.body)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("body", [{}, {"input_data": {"n": 2}}], ids=["the same", "another"])
def test_a_key_that_another_caller_used_is_free(keys, way, body):
    (_, first), (status, second) = ask(way, keys[0]), ask(way, keys[1], body)
    assert (status, first["id"] != second["id"]) == (202, True)
    assert ask(way, keys[0])[1]["id"] == first["id"]
    assert ask(way, keys[1], body)[1]["id"] == second["id"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("then", WAYS)
@pytest.mark.parametrize(
    ("query", "body", "path"),
    [
        ("priority=3", {}, EXECUTE),
        ("", {"input_data": {"n": 2}}, EXECUTE),
        ("", {"wait": 1}, EXECUTE),
        ("", {"workflow": "w"}, "/workflows/execute"),
    ],
    ids=["query", "input", "wait", "path"],
)
def test_a_key_stands_for_the_whole_request(keys, way, then, query, body, path):
    assert ask(way, keys[0])[0] == 202
    status, problem = ask(then, keys[0], body, path=path, query=query)
    assert (status, problem["code"]) == (409, "conflict")
    assert ask(then, keys[0])[0] == 202


def test_the_same_request_under_another_prefix_is_the_same(keys):
    first = ask("view", keys[0])[1]
    assert ask("gathered", keys[0], path=f"/api{EXECUTE}/")[1]["id"] == first["id"]


@pytest.mark.parametrize("way", WAYS)
def test_a_key_of_before_still_answers_who_used_it_and_nobody_else(keys, way):
    first = ask("view", keys[0])[1]
    WorkflowExecution.objects.update(idempotency_caller="", idempotency_digest="")
    assert ask(way, keys[0])[1]["id"] == first["id"]
    assert ask(way, keys[0], {"input_data": {"n": 2}})[0] == 409
    assert ask(way, keys[1])[1]["id"] != first["id"]


def test_a_rerun_is_no_start(keys, api):
    first = ask("view", keys[0])[1]
    WorkflowExecution.objects.update(status="FAILED")
    status, _ = ask("view", keys[0], path=f"/executions/{first['id']}/rerun")
    assert status == 409


@pytest.mark.parametrize("way", WAYS)
def test_a_key_of_a_webhook_cannot_be_claimed_by_a_caller(keys, api, way):
    make_credential("HMAC_SIGNATURE", name="shop", secret={"key": SECRET}, allowed_origins=[])
    factories.make_workflow("fulfil")
    make_webhook(api)
    pk = Webhook.objects.get().pk
    key = hashlib.sha256(f"{pk}:msg-1".encode()).hexdigest()[:32]
    claimed = ask(way, keys[0], path="/workflows/fulfil/execute", idempotency_key=f"webhook:{key}")[
        1
    ]
    answer = send()
    assert (answer.status_code, answer.json()["execution_id"] != claimed["id"]) == (202, True)


# --- What the hub says ---


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", sorted(HUB_NAMES))
def test_a_caller_cannot_say_what_the_hub_says(keys, way, name):
    status, problem = ask(way, keys[0], {"context": {name: "mine", "team": "blue"}})
    assert (status, list(problem["errors"])) == (400, [f"context.{name}"])
    assert not WorkflowExecution.objects.exists()


def test_a_schedule_cannot_say_it_either():
    workflow = store_workflow([call("a")])
    fields = {"name": "s", "workflow": workflow, "cron": "0 6 * * *", "timezone": "UTC"}
    with pytest.raises(ValidationFailed) as refused:
        services.create_schedule({**fields, "context": {"webhook": "orders"}}, actor="me")
    assert list(refused.value.details["errors"]) == ["context.webhook"]


def test_programs_in_the_process_cannot_say_it_either():
    context = {"webhook": "orders", "team": "blue"}
    asked = Start(input={}, context=context, noted={"request_id": "r"})
    execution = services.start_execution(store_workflow([call("a")]), asked).execution
    assert execution.context == {"team": "blue", "request_id": "r"}


@pytest.mark.parametrize("depth", ["x", None, -5, 0, [], {}, 1.5, True])
def test_any_depth_that_a_caller_wrote_once_is_none(depth):
    assert _depth_of({"depth": depth}) in (0, 1)


@pytest.mark.django_db(transaction=True)
def test_steps_read_who_started_the_execution_and_what_the_hub_says_of_it():
    seen = {
        "by": "$.execution.started_by",
        "webhook": "$.context.webhook",
        "team": "$.context.team",
    }
    child = {"id": "c", "type": "TRANSFORM", "output": {**seen, "depth": "$.context.depth"}}
    assert validate({"steps": [child]}, directory=None).valid
    store_workflow([child], name="child")
    workflow = store_workflow([{"id": "w", "type": "WORKFLOW", "workflow": "child", "next": None}])
    forged = {"webhook": "orders", "team": "blue", "depth": -40, "started_by": "root"}
    asked = Start(input={}, context=forged, actor="me")
    execution = services.start_execution(workflow, asked).execution
    with running_engine(ScriptedClient()):
        output = ended(execution).output
    assert output == {"by": "engine", "webhook": None, "team": "blue", "depth": 1}
