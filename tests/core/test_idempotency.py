"""Writes with an Idempotency-Key are done once, whatever is repeated, and when."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from core.api.idempotency import canonical_path
from core.models import IdempotencyRecord
from core.models.idempotency import forget_answers
from registry.calls.client import CallResult
from registry.exceptions import ServiceUnavailableError
from registry.models import RegistryChange, Service
from tests import factories
from tests.support.futures import in_future
from tests.support.resources import RESOURCES, Resource, caller_with_all_scopes
from workflows.models import Workflow

SERVICES = "/registry/services"
EXECUTE = "/registry/services/planner/actions/plan/execute"


def service(name: str = "planner", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "CUSTOM", "url": "http://planner:8000", **more}


@pytest.mark.django_db
def test_a_repeated_write_is_answered_as_the_first_was() -> None:
    api = factories.caller()
    first = api.post(SERVICES, service(), HTTP_IDEMPOTENCY_KEY="k")
    changes = RegistryChange.objects.count()
    again = api.post(SERVICES, service(), HTTP_IDEMPOTENCY_KEY="k")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again["Idempotency-Replayed"] == "true"
    assert again["ETag"] == first["ETag"]
    assert "Idempotency-Replayed" not in first
    assert RegistryChange.objects.count() == changes


@pytest.mark.django_db
def test_a_repeated_delete_is_answered_as_done() -> None:
    factories.make_service("planner")
    api = factories.caller()
    answers = [
        api.delete(f"{SERVICES}/planner", HTTP_IDEMPOTENCY_KEY="gone").status_code for _ in "ab"
    ]
    assert answers == [204, 204]
    assert api.delete(f"{SERVICES}/planner").status_code == 404


@pytest.mark.django_db
def test_a_key_means_one_request_only() -> None:
    api = factories.caller()
    api.post(SERVICES, service(), HTTP_IDEMPOTENCY_KEY="k")
    answer = api.post(SERVICES, service("other"), HTTP_IDEMPOTENCY_KEY="k")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert not Service.objects.filter(name="other").exists()


@pytest.mark.django_db
def test_another_query_is_another_request() -> None:
    factories.make_service("planner", urls=("http://planner:8000",))
    api = factories.caller()
    path = f"{SERVICES}/planner/status"
    first = api.put(f"{path}?status=maintenance", HTTP_IDEMPOTENCY_KEY="k")
    assert first.json()["status"] == "MAINTENANCE"
    assert api.put(f"{path}?status=online", HTTP_IDEMPOTENCY_KEY="k").status_code == 409
    assert api.put(f"{path}?status=maintenance&", HTTP_IDEMPOTENCY_KEY="k").json() == first.json()


@pytest.mark.django_db
def test_a_body_is_compared_as_json() -> None:
    api = factories.caller()
    first = api.post(SERVICES, service(metadata={"a": 1}), HTTP_IDEMPOTENCY_KEY="k")
    same = api.post(SERVICES, service(metadata={"a": 1.0}), HTTP_IDEMPOTENCY_KEY="k")
    assert (same.status_code, same.json()) == (201, first.json())
    other = api.post(SERVICES, service(metadata={"a": True}), HTTP_IDEMPOTENCY_KEY="k")
    assert other.status_code == 409


@pytest.mark.django_db
@pytest.mark.parametrize("resource", RESOURCES, ids=lambda each: each.title)
def test_the_same_request_under_its_other_paths_is_a_repetition(resource: Resource) -> None:
    if "create" in resource.view.own_keys:
        pytest.skip("It sees to the key itself.")
    api = caller_with_all_scopes()
    body = {"name": "once", **resource.fields()}
    first = api.post(resource.path, body, HTTP_IDEMPOTENCY_KEY="k")
    others = [f"/api{resource.path}", f"{resource.path}/", f"/api{resource.path}/"]
    if resource.path in ("/registry/services", "/registry/integrations"):
        short = resource.path.removeprefix("/registry")
        others += [short, f"{short}/", f"/api{short}", f"/api{short}/"]
    for path in others:
        again = api.post(path, body, HTTP_IDEMPOTENCY_KEY="k")
        assert (again.status_code, again.json()) == (first.status_code, first.json()), path
        assert again["Idempotency-Replayed"] == "true"
    patched = api.patch(f"{resource.path}/once", resource.change, HTTP_IDEMPOTENCY_KEY="k")
    assert patched.status_code == 409


@pytest.mark.once
@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("/", "/"),
        ("/services", "/services"),
        ("/api/registry/services//", "/services"),
        ("/registry/services/api", "/services/api"),
        ("/workflows/registry/x", "/workflows/registry/x"),
        ("/apiary", "/apiary"),
    ],
)
def test_a_path_has_one_form(path: str, canonical: str) -> None:
    assert canonical_path(path) == canonical


@pytest.mark.django_db
def test_keys_of_different_callers_have_nothing_to_do_with_each_other() -> None:
    one, other = factories.caller(name="one"), factories.caller(name="other")
    assert one.post(SERVICES, service(), HTTP_IDEMPOTENCY_KEY="k").status_code == 201
    assert other.post(SERVICES, service(), HTTP_IDEMPOTENCY_KEY="k").status_code == 200


@pytest.mark.django_db
def test_what_was_refused_may_be_tried_again_with_the_same_key() -> None:
    api = factories.caller()
    assert api.post(SERVICES, service(type="NO"), HTTP_IDEMPOTENCY_KEY="k").status_code == 400
    assert not IdempotencyRecord.objects.exists()
    assert api.post(SERVICES, service(), HTTP_IDEMPOTENCY_KEY="k").status_code == 201


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["x" * 256, "a\tb"])
def test_unusable_keys_are_refused(key: str) -> None:
    answer = factories.caller().post(SERVICES, service(), HTTP_IDEMPOTENCY_KEY=key)
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()["errors"]


@pytest.mark.django_db
def test_neither_key_nor_body_is_kept() -> None:
    factories.caller().post(
        SERVICES, service(metadata={"a": "sesame"}), HTTP_IDEMPOTENCY_KEY="my-key"
    )
    row = IdempotencyRecord.objects.values().get()
    assert "my-key" not in str(row)
    assert len(row["request_digest"]) == len(row["key_digest"]) == 64


@pytest.mark.django_db
def test_a_repeated_call_of_an_action_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def call(*arguments: Any, **options: Any) -> CallResult:
        calls.append(arguments)
        if len(calls) == 1:
            raise ServiceUnavailableError("down")
        return CallResult({"plan": len(calls)}, {}, "planner", "http://planner:8000", 200)

    monkeypatch.setattr("registry.api.services.begin_call", in_future(call))
    factories.make_service("planner", actions=("plan",))
    api = factories.caller()
    answers = [api.post(EXECUTE, {"input_data": {}}, HTTP_IDEMPOTENCY_KEY="k") for _ in range(3)]
    assert [a.status_code for a in answers] == [503, 200, 200]
    assert [a.json().get("plan") for a in answers[1:]] == [2, 2]
    assert answers[2]["X-Service-Instance"] == "http://planner:8000"


@pytest.mark.django_db
def test_a_call_under_way_is_not_made_a_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    factories.make_service("planner", actions=("plan",))
    api = factories.caller()
    inner: list[Any] = []

    def call(*_: Any, **__: Any) -> CallResult:
        inner.append(api.post(EXECUTE, {"input_data": {}}, HTTP_IDEMPOTENCY_KEY="k"))
        return CallResult({}, {}, "planner", "http://planner:8000", 200)

    monkeypatch.setattr("registry.api.services.begin_call", in_future(call))
    assert api.post(EXECUTE, {"input_data": {}}, HTTP_IDEMPOTENCY_KEY="k").status_code == 200
    assert (inner[0].status_code, inner[0]["Retry-After"]) == (503, "1")


@pytest.mark.django_db
def test_a_call_whose_process_was_lost_may_be_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: Any, **__: Any) -> CallResult:
        raise SystemExit  # as far as a test can go towards a process that ends here

    factories.make_service("planner", actions=("plan",))
    api = factories.caller()
    monkeypatch.setattr("registry.api.services.begin_call", in_future(die))
    monkeypatch.setattr(IdempotencyRecord, "delete", lambda self: None)
    with pytest.raises(SystemExit):
        api.post(EXECUTE, {"input_data": {}}, HTTP_IDEMPOTENCY_KEY="k")
    result = CallResult({}, {}, "planner", "http://planner:8000", 200)
    monkeypatch.setattr("registry.api.services.begin_call", in_future(lambda *_, **__: result))
    assert api.post(EXECUTE, {"input_data": {}}, HTTP_IDEMPOTENCY_KEY="k").status_code == 503
    IdempotencyRecord.objects.update(created_at=timezone.now() - timedelta(minutes=11))
    assert api.post(EXECUTE, {"input_data": {}}, HTTP_IDEMPOTENCY_KEY="k").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_parallel_repetitions_create_once() -> None:
    api = factories.caller()
    body = {
        "name": "once", "type": "CUSTOM", "status": "DRAFT",
        "steps": [{"id": "a", "type": "TRANSFORM", "output": {"x": 1}, "next": None}],
    }  # fmt: skip
    answers: list[Any] = []

    def create() -> None:
        answers.append(api.post("/workflows", body, HTTP_IDEMPOTENCY_KEY="k"))
        connections.close_all()

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {a.status_code for a in answers} == {201}
    assert len({a.json()["id"] for a in answers}) == 1
    assert Workflow.objects.filter(name="once").count() == 1


@pytest.mark.django_db
def test_answers_are_forgotten_after_a_day() -> None:
    factories.caller().post(SERVICES, service(), HTTP_IDEMPOTENCY_KEY="k")
    now = timezone.now()
    assert forget_answers(now=now + timedelta(hours=23)) == 0
    assert forget_answers(now=now + timedelta(hours=25)) == 1
