import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from core.api.exchange import WebAnswer, WebRequest
from core.models import AuditEntry
from integration_site.front.django_middleware import with_common_headers
from registry.api.gathered_registrations import answer_registrations
from registry.models import RegistryChange, Service, ServiceInstance
from registry.services import registrations
from tests import factories
from tests.support.web_requests import by_django, comparable, web_request

pytestmark = pytest.mark.django_db
PLANNER: dict[str, Any] = {
    "name": "Planner", "url": "http://planner:8000/", "type": "PLANNING_SYSTEM", "tags": ["a", "ü"],
    "metadata": {"b": [1, 2.5], "version": "7"}, "ttl_seconds": 30, "zone": "eu",
    "actions": [{"name": "plan", "path": "/plans", "input_schema": {"type": "object"}}, "list"],
    "health_url": "http://planner:8000/health", "criticality": "CRITICAL",
}  # fmt: skip
BODIES: dict[str, dict[str, Any]] = {
    "a name and a URL": {"name": "x", "url": "http://x"},
    "all fields": PLANNER,
    "other names": {"name": "x", "endpoint": "http://x", "service_type": "custom"},
    "a status": {"name": "x", "url": "http://x", "status": "maintenance"},
    "signed off": {"name": "x", "url": "http://x", "status": "OFFLINE"},
    "probed only": {
        "name": "x",
        "url": "http://x",
        "liveness": "PROBE",
        "health_url": "http://x/h",
    },
    "no credential": {"name": "x", "url": "http://x", "credential": None},
}
LEFT: dict[str, dict[str, Any]] = {
    "no URL": {"name": "x"},
    "no name": {"url": "http://x"},
    "an unknown field": {"name": "x", "url": "http://x", "y": 1},
    "a URL that is none": {"name": "x", "url": "x"},
    "a credential": {"name": "x", "url": "http://x", "credential": "key"},
    "an action twice": {"name": "x", "url": "http://x", "actions": ["a", "a"]},
    "a broken schema": {
        "name": "x", "url": "http://x", "actions": [{"name": "a", "input_schema": {"type": 1}}]
    },
    "a time to live of nothing": {"name": "x", "url": "http://x", "ttl_seconds": 0},
}  # fmt: skip


@pytest.fixture
def key() -> str:
    return factories.make_key("SERVICE", name="owner")[1]


def register(body: dict[str, Any], key: str, **more: Any) -> WebRequest:
    return web_request("/registry/services", body, key=key, **more)


def statuses(*requests: WebRequest) -> list[int | None]:
    return [answer.status if answer else None for answer in answer_registrations(requests)]


def whole(answer: WebAnswer | None) -> tuple[int, list[tuple[str, str]], str]:
    """An answer but for ids, times and the digest of them."""
    assert answer is not None
    status, headers, body = comparable(with_common_headers(answer, "http"))
    return status, [(name, value) for name, value in headers if name != "etag"], body


def stored() -> list[Any]:
    """What is recorded and told of services, but for ids and times."""
    entries = AuditEntry.objects.order_by("created_at", "pk")
    said = entries.values_list("actor", "verb", "object_type", "object_name", "request_id")
    return [*said, *RegistryChange.objects.values_list("service_name", "kind", "status")]


@pytest.mark.parametrize("body", BODIES)
def test_a_new_service_is_answered_and_recorded_as_by_the_view(body: str, key: str) -> None:
    [gathered] = answer_registrations([register(BODIES[body], key)])
    of_gathered = stored()
    Service.objects.all().delete()
    AuditEntry.objects.all().delete()
    RegistryChange.objects.all().delete()
    assert whole(gathered) == whole(by_django(register(BODIES[body], key)))
    assert of_gathered == stored() != []


@pytest.mark.parametrize("body", BODIES)
def test_a_refresh_that_says_nothing_new_is_answered_as_by_the_view(
    body: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert statuses(register(BODIES[body], key)) == [201]
    now, before = timezone.now(), stored()
    monkeypatch.setattr(timezone, "now", lambda: now)
    [gathered] = answer_registrations([register(BODIES[body], key)])
    assert gathered is None or gathered.status == 200
    if gathered is not None:
        expected = by_django(register(BODIES[body], key))
        assert (gathered.status, gathered.body) == (expected.status, expected.body)
        assert whole(gathered) == whole(expected)
        assert dict(gathered.headers)["ETag"] == dict(expected.headers)["ETag"]
    assert stored() == before


def test_plain_refreshes_are_gathered(key: str) -> None:
    plain = [body for name, body in BODIES.items() if name not in ("signed off", "a status")]
    for body in plain:
        assert statuses(register(body, key)) == [201]
        assert statuses(register(body, key), register(body, key)) == [200, 200]
        Service.objects.all().delete()


@pytest.mark.parametrize("body", LEFT)
def test_what_is_not_plain_is_left_to_the_view_and_holds_up_nobody(body: str, key: str) -> None:
    plain = {"name": "plain", "url": "http://plain"}
    assert statuses(register(LEFT[body], key), register(plain, key)) == [None, 201]
    assert list(Service.objects.values_list("name", flat=True)) == ["plain"]


CHANGED: dict[str, dict[str, Any]] = {
    "another version": {"version": "2"},
    "other tags": {"tags": []},
    "other metadata": {"metadata": {}},
    "other words": {"description": "Plans.", "criticality": "NON_CRITICAL"},
}
MORE_CHANGED: dict[str, dict[str, Any]] = {
    "another type": {"type": "API_GATEWAY"},
    "another liveness": {"liveness": "PROBE"},
    "fewer actions": {"actions": ["list"]},
    "another schema": {"actions": [{**PLANNER["actions"][0], "input_schema": {}}, "list"]},
    "another instance": {"url": "http://planner-2"},
    "another zone": {"zone": "us"},
    "another status": {"status": "degraded"},
}


def rows() -> list[Any]:
    """Services and instances; when a row of an instance was written is told to nobody."""
    instances = ServiceInstance.objects.values()
    return [*Service.objects.values(), *({**each, "updated_at": None} for each in instances)]


@pytest.mark.parametrize("change", CHANGED)
def test_a_refresh_that_changes_the_service_alone_is_made_as_by_the_view(
    change: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {**PLANNER, **CHANGED[change]}
    assert statuses(register(PLANNER, key)) == [201]
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    point = transaction.savepoint()
    [gathered] = answer_registrations([register(body, key)])
    of_gathered = [*stored(), *rows()]
    transaction.savepoint_rollback(point)
    with monkeypatch.context() as patch:  # the view asks the same function: as if it declined
        patch.setattr(registrations, "plan_change", lambda *_: None)
        expected = by_django(register(body, key))
    assert gathered is not None
    assert whole(gathered) == whole(expected)
    assert dict(gathered.headers)["ETag"] == dict(expected.headers)["ETag"]
    assert of_gathered == [*stored(), *rows()]


def test_of_two_refreshes_that_change_a_service_one_is_left_to_the_view(key: str) -> None:
    assert statuses(register(PLANNER, key)) == [201]
    others = [register({**PLANNER, "version": version}, key) for version in ("7", "2", "3")]
    said = answer_registrations(others)
    assert [json.loads(each.body)["version"] if each else None for each in said] == ["7", "2", None]


@pytest.mark.parametrize("change", MORE_CHANGED)
def test_a_refresh_that_changes_more_is_left_to_the_view(change: str, key: str) -> None:
    body = {**PLANNER, **MORE_CHANGED[change]}
    assert statuses(register(PLANNER, key)) == [201]
    before = list(ServiceInstance.objects.values())
    assert statuses(register(body, key)) == [None]
    assert list(ServiceInstance.objects.values()) == before
    assert by_django(register(body, key)).status in (200, 201)
    again = [201] if change == "another status" else [200]
    assert statuses(register(body, key)) == again or change == "another status"


def test_a_name_is_new_once_and_of_its_owner(key: str) -> None:
    other = factories.make_key("SERVICE", name="other")[1]
    body = {"name": "x", "url": "http://x"}
    assert statuses(register(body, key), register({**body, "name": "X"}, other)) == [201, None]
    assert statuses(register(body, other), register(body, key)) == [None, 200]


def test_a_service_without_instances_is_there_already(key: str) -> None:
    factories.make_service("x", owner="owner")
    requests = [register({"name": name, "url": "http://x"}, key) for name in ("x", "y")]
    assert statuses(*requests) == [None, 201]


def test_what_an_owner_may_have_counts_all_of_a_batch(key: str, settings: Any) -> None:
    settings.SERVICES_PER_OWNER = 2
    bodies = [{"name": f"x{number}", "url": "http://x"} for number in range(3)]
    assert statuses(*(register(body, key) for body in bodies)) == [201, 201, None]


def test_a_key_of_idempotency_and_a_reason_are_for_the_view(key: str) -> None:
    for header in ("idempotency-key", "x-request-reason"):
        request = register({"name": "x", "url": "http://x"}, key, headers={header: "1"})
        assert statuses(request) == [None]


@pytest.mark.django_db(transaction=True)
def test_the_same_names_at_once_are_new_once(key: str) -> None:
    """Two processes store the same names in opposite orders: nobody waits in a ring."""
    bodies = [{"name": f"x{number}", "url": f"http://x{number}"} for number in range(20)]
    requests = [register(body, key) for body in bodies]
    batches = [requests, requests[::-1], requests, requests[::-1]]
    with ThreadPoolExecutor(len(batches)) as threads:
        answers = list(threads.map(closing(statuses_of), batches))
    assert Service.objects.count() == RegistryChange.objects.count() == 20
    assert sum(each.count(201) for each in answers) == 20
    assert {status for each in answers for status in each} <= {200, 201, None}


def statuses_of(requests: list[WebRequest]) -> list[int | None]:
    return statuses(*requests)


def closing(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        try:
            return function(*args)
        finally:
            connection.close()

    return call
