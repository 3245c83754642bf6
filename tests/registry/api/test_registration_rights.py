"""Who may register what: by the patterns of a key, by policy, and by a person who accepts it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.urls import reverse
from rest_framework.test import APIClient

from core.models import ApiKey, AuditEntry
from registry.api.gathered_registrations import answer_registrations
from registry.calls.targets.resolver import CallTarget, choose_of_type, resolve
from registry.exceptions import ServiceUnavailableError
from registry.models import Service
from tests import factories
from tests.support.people import in_groups
from tests.support.web_requests import by_django, web_request

pytestmark = pytest.mark.django_db
TYPE = "PLANNING_SYSTEM"
NEW = {"name": "newcomer", "url": "http://newcomer", "actions": ["plan"]}


@pytest.fixture(autouse=True)
def incumbent() -> Service:
    return factories.make_service(
        "planner", urls=("http://planner",), actions=("plan",), type=TYPE, owner="incumbent"
    )


def key_with(**fields: Any) -> tuple[APIClient, str]:
    """A client with a key of a service, and the key."""
    text = factories.make_key("SERVICE", name="newcomer-key", **fields)[1]
    client = APIClient(raise_request_exception=False)
    client.credentials(HTTP_X_API_KEY=text)
    return client, text


CASES: list[tuple[str, dict[str, Any], dict[str, Any], int, str]] = [
    # policy, fields of the key, body, status, acceptance
    ("OPEN", {}, {"type": TYPE}, 201, "ACCEPTED"),
    ("KEYED", {}, {"type": TYPE}, 403, ""),
    ("KEYED", {}, {}, 201, "ACCEPTED"),
    ("KEYED", {"service_types": [TYPE]}, {"type": TYPE}, 201, "ACCEPTED"),
    ("KEYED", {"service_types": ["planning_*"]}, {"type": TYPE}, 201, "ACCEPTED"),
    ("KEYED", {"service_types": ["API_GATEWAY"]}, {"type": TYPE}, 403, ""),
    ("KEYED", {"service_types": [TYPE]}, {}, 403, ""),
    ("OPEN", {"service_types": ["CUSTOM"]}, {"type": TYPE}, 403, ""),
    ("APPROVED", {}, {"type": TYPE}, 201, "PENDING"),
    ("APPROVED", {"service_types": ["*"]}, {"type": TYPE}, 201, "PENDING"),
    ("APPROVED", {}, {"type": "API_GATEWAY"}, 201, "ACCEPTED"),
    ("APPROVED", {}, {}, 201, "ACCEPTED"),
    ("OPEN", {"service_names": ["new*"]}, {}, 201, "ACCEPTED"),
    ("OPEN", {"service_names": ["billing-*"]}, {}, 403, ""),
    ("OPEN", {}, {"weight": 100}, 201, "ACCEPTED"),
    ("OPEN", {}, {"weight": 101}, 403, ""),
    ("OPEN", {"scopes": ["registry:write"]}, {"weight": 101}, 403, ""),
    ("KEYED", {"scopes": ["registry:write"]}, {"type": TYPE}, 403, ""),
    ("KEYED", {"scopes": ["registry:register", "registry:operate"]}, {"type": TYPE, "weight": 999},
     201, "ACCEPTED"),
    ("APPROVED", {"scopes": ["registry:write", "registry:operate"]}, {"type": TYPE}, 201,
     "ACCEPTED"),
    ("OPEN", {"scopes": ["registry:write", "registry:operate"], "service_names": ["a"]}, {}, 403,
     ""),
]  # fmt: skip


@pytest.mark.parametrize(("policy", "key", "body", "status", "acceptance"), CASES)
def test_both_ways_in_decide_alike(
    settings: Any, policy: str, key: Any, body: Any, status: int, acceptance: str
) -> None:
    settings.REGISTRATION_POLICY = policy
    _, text = key_with(**key)
    request = web_request("/registry/services", {**NEW, **body}, key=text)
    [gathered] = answer_registrations([request])
    seen = Service.objects.filter(name="newcomer").values_list("acceptance", flat=True)
    if status == 403:
        assert gathered is None
    elif gathered is not None:
        assert (gathered.status, [*seen]) == (201, [acceptance])
        Service.objects.filter(name="newcomer").delete()
    answer = by_django(request)
    assert answer.status == status, answer.body
    assert [*seen.all()] == ([acceptance] if acceptance else [])


def test_pending_is_neither_discovered_nor_called_until_it_is_accepted(settings: Any) -> None:
    settings.REGISTRATION_POLICY = "APPROVED"
    client, _ = key_with()
    operator = factories.caller("OPERATOR", name="ops")
    assert client.post("/registry/services", {**NEW, "type": TYPE}).json()["status"] == "PENDING"
    assert client.post("/registry/services/newcomer/heartbeat", {}).json()["status"] == "PENDING"
    for status in ("ONLINE", "MAINTENANCE"):
        body = {"status": status}
        answer = client.put("/registry/services/newcomer/status", body).json()
        assert answer["status"] == answer["instances"][0]["status"] == "PENDING"
    for query in ("", "?include_offline=true", f"?type={TYPE}&include_offline=true"):
        found = operator.get(f"/discovery/services{query}").json()["items"]
        assert [each["name"] for each in found] == ["planner"]
    assert {choose_of_type(TYPE, zone="").service.name for _ in range(50)} == {"planner"}
    with pytest.raises(ServiceUnavailableError, match="waits until an operator accepts it"):
        resolve(CallTarget("service", "newcomer"), "plan").selection()
    assert client.post("/registry/services/newcomer/accept").status_code == 403
    accepted = operator.post("/registry/services/newcomer/accept", {"reason": "Known."})
    assert (accepted.status_code, accepted.json()["acceptance"]) == (200, "ACCEPTED")
    assert accepted.json()["status"] == "MAINTENANCE", "what was set meanwhile holds"
    entry = AuditEntry.objects.get(verb="APPROVED")
    assert (entry.actor, entry.object_name, entry.reason) == ("ops", "newcomer", "Known.")
    assert operator.post("/registry/services/newcomer/accept").status_code == 409
    assert operator.post("/registry/services/newcomer/refuse").status_code == 409


def test_refused_is_heard_no_more_until_it_is_accepted_after_all(settings: Any) -> None:
    settings.REGISTRATION_POLICY = "APPROVED"
    client, text = key_with()
    operator = factories.caller("OPERATOR")
    body = {**NEW, "type": TYPE}
    client.post("/registry/services", body)
    refused = operator.post("/registry/services/newcomer/refuse", {"reason": "Unknown."}).json()
    assert (refused["acceptance"], refused["status"]) == ("REFUSED", "OFFLINE")
    assert refused["instances"][0]["status_reason"] == "An operator refused its service."
    assert answer_registrations([web_request("/registry/services", body, key=text)]) == [None]
    for answer in (
        client.post("/registry/services", body),
        client.post("/registry/services", {**NEW, "type": "CUSTOM"}),
        client.post("/registry/services/newcomer/heartbeat", {}),
        client.patch("/registry/services/newcomer", {"type": "CUSTOM"}),
        client.delete("/registry/services/newcomer"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
    assert operator.post("/registry/services/newcomer/accept").json()["status"] == "ONLINE"
    assert client.post("/registry/services/newcomer/heartbeat", {}).status_code == 200


@pytest.mark.parametrize("policy", ["KEYED", "APPROVED"])
@pytest.mark.parametrize("way", ["patch", "post"])
def test_another_type_makes_a_newcomer_of_a_service(settings: Any, policy: str, way: str) -> None:
    settings.REGISTRATION_POLICY = policy
    client, _ = key_with()
    assert client.post("/registry/services", NEW).status_code == 201
    path = "/registry/services/newcomer" if way == "patch" else "/registry/services"
    answer = getattr(client, way)(path, {**NEW, "type": TYPE})
    if policy == "KEYED":
        assert answer.status_code == 403
        assert "service_types of the key" in answer.json()["detail"]
    else:
        assert answer.json()["status"] == "PENDING"


def test_what_a_key_carries_holds_for_all_that_it_does_to_a_service() -> None:
    client, _ = key_with()
    assert client.post("/registry/services", NEW).status_code == 201
    key = ApiKey.objects.get(name="newcomer-key")
    key.service_names = ["other-*"]
    key.save()
    for answer in (
        client.post("/registry/services", NEW),
        client.post("/registry/services/newcomer/heartbeat", {}),
        client.patch("/registry/services/newcomer", {"tags": []}),
        client.put("/registry/services/newcomer/status", {"status": "OFFLINE"}),
        client.post("/registry/services/newcomer/instances", {"url": "http://b"}),
        client.delete("/registry/services/newcomer"),
    ):
        assert answer.status_code == 403
        assert "its service_names are other-*" in answer.json()["detail"]


def test_service_is_not_renamed_to_what_its_key_does_not_carry() -> None:
    client, _ = key_with(service_names=["new*"])
    assert client.post("/registry/services", NEW).status_code == 201
    assert client.patch("/registry/services/newcomer", {"name": "other"}).status_code == 403
    assert client.patch("/registry/services/newcomer", {"name": "news"}).status_code == 200


WEIGHTS = {
    "a refresh": ("post", "/registry/services", {**NEW, "weight": 101}),
    "another instance": ("post", "/registry/services", {**NEW, "url": "http://b", "weight": 101}),
    "a change": ("patch", "/registry/services/newcomer", {"weight": 101}),
    "a move": ("patch", "/registry/services/newcomer", {"url": "http://c", "weight": 101}),
    "an added one": ("post", "/registry/services/newcomer/instances",
                     {"url": "http://b", "weight": 101}),
    "one again": ("post", "/registry/services/newcomer/instances",
                  {"url": "http://newcomer", "weight": 101}),
}  # fmt: skip


@pytest.mark.parametrize("way", WEIGHTS)
def test_weight_beyond_the_usual_is_an_operators(way: str) -> None:
    client, _ = key_with()
    client.post("/registry/services", NEW)
    method, path, body = WEIGHTS[way]
    refused = getattr(client, method)(path, body)
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    assert "registry:operate" in refused.json()["detail"]
    operator = factories.caller("OPERATOR")
    assert getattr(operator, method)(path, body).status_code in (200, 201)
    assert getattr(client, method)(path, body).status_code in (200, 201), "it has that already"


def test_a_name_that_reads_as_the_id_of_another_service_is_refused(incumbent: Service) -> None:
    client, text = key_with()
    for written in (str(incumbent.pk), incumbent.pk.hex, f"{{{incumbent.pk}}}", incumbent.pk.urn):
        body = {**NEW, "name": written}
        assert answer_registrations([web_request("/services", body, key=text)]) == [None]
        refused = client.post("/registry/services", body)
        assert (refused.status_code, [*refused.json()["errors"]]) == (400, ["name"])
        assert client.post(f"/registry/services/{written}/heartbeat", {}).status_code == 403
    renamed = client.post("/registry/services", NEW)
    assert renamed.status_code == 201
    answer = client.patch("/registry/services/newcomer", {"name": str(incumbent.pk)})
    assert answer.status_code == 400


@pytest.mark.parametrize("group", ["operator", "viewer"])
def test_person_accepts_in_the_admin(settings: Any, group: str) -> None:
    settings.REGISTRATION_POLICY = "APPROVED"
    client, _ = key_with()
    client.post("/registry/services", {**NEW, "type": TYPE})
    person, service = in_groups(group), Service.objects.get(name="newcomer")
    page = f"/admin/registry/service/{service.pk}/change/"
    shown = person.get(page).content.decode()
    assert "Pending" in shown
    assert ("Accept" in shown) is (group == "operator")
    url = reverse("admin:registry_service_accept", args=(service.pk,))
    person.post(url, {"_form_submitted": "True", "reason": "Ours."})
    service.refresh_from_db()
    accepted = group == "operator"
    assert (service.acceptance, service.status) == (
        ("ACCEPTED", "ONLINE") if accepted else ("PENDING", "PENDING")
    )
    assert AuditEntry.objects.filter(verb="APPROVED", reason="Ours.").exists() is accepted


# --- Who hands on patterns ---


@pytest.mark.parametrize(
    ("scopes", "own", "wanted", "status"),
    [
        ([], {}, {}, 201),
        ([], {}, {"service_names": ["a-*"]}, 201),
        ([], {}, {"service_types": [TYPE]}, 403),
        (["registry:operate"], {}, {"service_types": [TYPE]}, 201),
        ([], {"service_types": [TYPE]}, {"service_types": [TYPE]}, 201),
        ([], {"service_types": [TYPE]}, {}, 403),
        ([], {"service_types": [TYPE]}, {"service_types": ["*"]}, 403),
        ([], {"service_names": ["a-*"]}, {"service_names": ["a-b*"]}, 201),
        ([], {"service_names": ["a-*"]}, {"service_names": ["a*"]}, 403),
        ([], {"service_names": ["a-*"]}, {}, 403),
    ],
)
def test_key_never_carries_more_than_who_makes_it(
    scopes: Any, own: Any, wanted: Any, status: int
) -> None:
    maker = factories.caller(scopes=["keys:write", "registry:register", *scopes], **own)
    body = {"name": "made", "scopes": ["registry:register"], **wanted}
    answer = maker.post("/keys", body)
    assert answer.status_code == status, answer.content
    if status == 403:
        assert "more than its maker may do" in answer.json()["detail"]
        factories.make_key(name="made", scopes=["registry:register"],
                           service_names=["a-1"], service_types=[TYPE])  # fmt: skip
        empty: dict[str, Any] = {"service_names": [], "service_types": []}
        assert maker.patch("/keys/made", {**empty, **wanted}).status_code == 403


@pytest.mark.parametrize("wrong", ["a/b", "", "x" * 101, "ä"])
def test_what_is_no_pattern_is_refused_at_its_field(wrong: Any) -> None:
    maker = factories.caller(scopes=["keys:write", "registry:operate", "registry:register"])
    for field in ("service_names", "service_types"):
        body = {"name": "made", "scopes": ["registry:register"], field: [wrong]}
        answer = maker.post("/keys", body)
        assert answer.status_code == 400, answer.content
        assert next(iter(answer.json()["errors"])).startswith(field)


# --- Of two that come at once ---


@pytest.mark.django_db(transaction=True)
@pytest.mark.on_servers
def test_an_owner_never_gets_more_by_asking_twice_at_once(settings: Any) -> None:
    settings.SERVICES_PER_OWNER = 3
    key = factories.make_key("SERVICE", name="greedy")[1]
    batches = [
        [
            web_request("/services", {"name": f"x{n}-{m}", "url": "http://x"}, key=key)
            for m in (1, 2)
        ]
        for n in range(6)
    ]
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(_register_all, batches))
    assert Service.objects.filter(owner="greedy").count() == 3


@pytest.mark.django_db(transaction=True)
@pytest.mark.on_servers
def test_of_two_newcomers_at_once_one_waits(settings: Any) -> None:
    settings.REGISTRATION_POLICY = "APPROVED"
    keys = [factories.make_key("SERVICE", name=f"key-{n}")[1] for n in "abcd"]
    batches = [
        [web_request("/services", {"name": key[-6:].strip("-_") + "x", "url": "http://x",
                                   "type": "API_GATEWAY"}, key=key)]
        for key in keys
    ]  # fmt: skip
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(_register_all, batches))
    of_type = Service.objects.filter(type="API_GATEWAY")
    assert sorted(of_type.values_list("acceptance", flat=True)) == ["ACCEPTED"] + ["PENDING"] * 3


def _register_all(requests: list[Any]) -> None:
    try:
        for request, answer in zip(requests, answer_registrations(requests), strict=True):
            if answer is None:
                by_django(request)
    finally:
        connection.close()
