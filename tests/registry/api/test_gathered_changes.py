"""Changes that arrive together: each is answered, recorded and told as the view does it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.api.exchange import WebRequest
from core.mediator import mediator
from core.models import AuditEntry
from integration_site.front.django_middleware import with_common_headers
from registry.api.gathered_changes import answer_changes
from registry.api.service_serializers import ServicePatch
from registry.models import RegistryChange, Service
from registry.services import plain_changes
from tests import factories
from tests.support.web_requests import by_django, comparable, web_request

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("keys_stay_known")]
# Of each field of the body: a value with which a change is plain, or why it is none.
PLAIN: dict[str, list[Any]] = {
    "description": ["Other words.", None],
    "version": ["2", None],
    "metadata": [{"plan": None, "tier": {"x": 1}}, {"version": "9"}, None],
    "tags": [["new", "ü"], None],
    "criticality": ["NON_CRITICAL", None],
    "breaker": [{"failure_threshold": 7}, None],
    "limits": [{"per_second": 5}],
    "probing": [{"failure_threshold": 2}],
    "liveness": ["HEARTBEAT"],
}
FOR_THE_VIEW: dict[str, list[Any]] = {
    "name": ["renamed", ""],
    "type": ["API_GATEWAY", "nonsense"],
    "url": ["http://elsewhere", None],
    "health_url": ["http://elsewhere/health"],
    "actions": [["list"], []],
    "credential": ["key"],
    "status": ["MAINTENANCE"],
    "ttl_seconds": [40],
    "weight": [50],
    "zone": ["eu"],
}
REFUSED: list[dict[str, Any]] = [
    {"tags": "x"}, {"y": 1}, {"description": 1}, {"breaker": {"y": 1}},
    {"metadata": {"a": "x" * 70_000}}, {"version": "x" * 51}, {}, {"description": "As it is."},
    {"description": ""},
]  # fmt: skip


@pytest.fixture
def key() -> str:
    return factories.make_key("SERVICE", name="owner")[1]


@pytest.fixture
def service(key: str) -> Service:
    service = factories.make_service(
        "billing", id=UUID(int=7), urls=("http://a", "http://b"), actions=("charge",),
        owner="owner", tags=["paid"], metadata={"plan": "gold"}, description="As it is.",
        version="1", criticality="CRITICAL", breaker={"failure_threshold": 3},
    )  # fmt: skip
    by_django(web_request("/services/billing", key=key, method="GET"))  # the key is known now
    return service


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> datetime:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    return now


def patch(
    body: dict[str, Any],
    key: str,
    path: str = "/services/billing",
    headers: dict[str, str] | None = None,
) -> WebRequest:
    return web_request(path, json.dumps(body).encode(), key=key, method="PATCH", headers=headers)


def stored() -> list[Any]:
    """What is recorded and told of the service, and its row."""
    entries = AuditEntry.objects.order_by("id").values_list(
        "actor", "actor_kind", "verb", "object_name", "changes", "request_id"
    )
    told = RegistryChange.objects.values_list("service_name", "kind", "status")
    return [*entries, *told, *Service.objects.values()]


def done_by(answer: Any) -> tuple[Any, list[Any], list[Any]]:
    """What is answered, stored and told; nothing of it is left."""
    with mediator.recording("registry_changed") as heard, transaction.atomic():
        point = transaction.savepoint()
        said = comparable(with_common_headers(answer(), "http"))
        result = (said, stored(), [{**each, "fields": set(each["fields"])} for each in heard])
        transaction.savepoint_rollback(point)
    return result


def test_every_field_is_tried() -> None:
    assert {*PLAIN, *FOR_THE_VIEW} == set(ServicePatch().fields)
    assert not PLAIN.keys() & FOR_THE_VIEW.keys()


@pytest.mark.parametrize(
    "body", [{name: value} for name, values in PLAIN.items() for value in values], ids=str
)
def test_a_plain_change_is_made_as_by_the_view(
    body: dict[str, Any], key: str, service: Service, still: datetime
) -> None:
    gathered = done_by(lambda: answer_changes([patch(body, key)])[0])
    assert gathered[0][0] == 200
    assert gathered == done_by(lambda: by_django(patch(body, key)))


@pytest.mark.parametrize(
    "body",
    [*REFUSED, *({name: value} for name, values in FOR_THE_VIEW.items() for value in values)],
    ids=lambda body: str(body)[:50],
)
def test_any_other_change_is_left_to_the_view_and_holds_up_nobody(
    body: dict[str, Any], key: str, service: Service
) -> None:
    factories.make_service("shop", urls=("http://c",), owner="owner")
    before = Service.objects.filter(name="billing").values().get()
    plain = patch({"tags": ["new"]}, key, "/api/registry/services/shop")
    left, done = answer_changes([patch(body, key), plain])
    assert (left, done and done.status) == (None, 200)
    assert Service.objects.filter(name="billing").values().get() == before


@pytest.mark.parametrize(
    "more",
    [
        {"idempotency-key": "x"}, {"x-request-reason": "x"}, {"if-match": '"x"'},
        {"if-none-match": "*"}, {"cookie": "sessionid=x"}, {"content-type": "text/plain"},
    ],
    ids=str,
)  # fmt: skip
def test_what_asks_for_more_is_left_to_the_view(
    more: dict[str, str], key: str, service: Service
) -> None:
    assert answer_changes([patch({"version": "2"}, key, headers=more)]) == [None]


def test_who_may_not_change_it_is_left_to_the_view(service: Service) -> None:
    for role, name in (("SERVICE", "other"), ("VIEWER", "owner-2")):
        stranger = factories.make_key(role, name=name)[1]
        assert answer_changes([patch({"version": "2"}, stranger)]) == [None]
    assert Service.objects.get().version != "2"


def test_of_several_changes_of_one_service_the_first_is_made(key: str, service: Service) -> None:
    versions = [patch({"version": version}, key) for version in "234"]
    assert [answer and answer.status for answer in answer_changes(versions)] == [200, None, None]
    assert Service.objects.get().version == "2"


def test_a_service_that_was_changed_since_it_was_read_is_left_to_the_view(
    key: str, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = plain_changes.store_changes

    def store_later(plans: Any) -> Any:
        service.save(update_fields=("updated_at",))
        return store(plans)

    monkeypatch.setattr(plain_changes, "store_changes", store_later)
    assert answer_changes([patch({"version": "2"}, key)]) == [None]
    assert not AuditEntry.objects.filter(verb="CHANGED").exists()


def test_a_status_that_does_not_follow_from_the_instances_is_left_to_the_view(
    key: str, service: Service
) -> None:
    Service.objects.update(status="OFFLINE")
    assert answer_changes([patch({"version": "2"}, key)]) == [None]


def test_many_changes_take_as_many_queries_as_one(key: str, service: Service) -> None:
    counts = []
    for number in (1, 20):
        names = [f"service-{number}-{n}" for n in range(number)]
        for name in names:
            factories.make_service(name, urls=(f"http://{name}",), owner="owner")
        requests = [patch({"version": "2"}, key, f"/services/{name}") for name in names]
        answer_changes([patch({"version": str(number + 1)}, key)])
        with CaptureQueriesContext(
            connection,
        ) as queries:
            answers = answer_changes(requests)
        assert {answer and answer.status for answer in answers} == {200}
        counts.append(len(queries))
    assert counts[0] == counts[1] or connection.vendor == "sqlite"
