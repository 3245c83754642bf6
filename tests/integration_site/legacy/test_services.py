"""Services of the earlier system register, beat, are found and leave as they always did."""

from __future__ import annotations

import uuid
from typing import Any

import httpx2
import pytest
from django.db import OperationalError

from core.models import LegacyCall
from integration_site.legacy.vocabulary import (
    CIRCUIT_STATES,
    SERVICE_STATUSES,
    SERVICE_TYPES,
    old_value,
)
from registry.models import (
    CircuitBreakerState,
    CircuitState,
    Service,
    ServiceAlias,
    ServiceInstance,
    ServiceStatus,
    ServiceType,
)
from tests import factories
from tests.integration_site.legacy.conftest import client_of
from tests.support import old_client
from tests.support.old_client import (
    CircuitInfo,
    OldService,
    ServiceInfo,
    SystemHealth,
    items_of,
    parse,
)

OWN_ID = "planning-7"


def test_a_service_lives_its_life_over_the_old_shapes(old: httpx2.Client) -> None:
    service = OldService(old, service_id=OWN_ID, unknown_to_all=1)
    info = service.register()
    assert (info.service_id, info.type) == (OWN_ID, "PLANNING_SYSTEM")
    assert (info.base_url, info.health_check_url) == (
        "http://127.0.0.1:9",
        "http://127.0.0.1:9/health",
    )
    assert info.endpoints[0].path == "/plans/strategic"
    assert service.register_again().service_id == OWN_ID
    assert service.beat().service_id == OWN_ID
    assert service.beat(status="degraded").status == "DEGRADED"
    assert service.beat_bare().status == "ONLINE"
    assert service.set_status("MAINTENANCE").status == "MAINTENANCE"
    assert (service.health(), service.read().status) == ("MAINTENANCE", "MAINTENANCE")
    assert service.set_status("online").status == "ONLINE"
    assert service.leave() == 204
    assert old.get(f"/registry/services/{OWN_ID}").json()["detail"].startswith("No service")
    assert service.leave() == 404


def test_the_hub_gives_an_id_to_who_has_none(old: httpx2.Client) -> None:
    service = OldService(old)
    key = uuid.UUID(service.register().service_id)
    assert ServiceInstance.objects.filter(pk=key).exists()
    assert service.beat().service_id == str(key)


def test_instances_of_one_name_are_services_of_their_own(old: httpx2.Client) -> None:
    first = OldService(old, service_id="a", base_url="http://127.0.0.1:7")
    second = OldService(old, service_id="b", base_url="http://127.0.0.1:8")
    first.register(), second.register()
    assert first.set_status("MAINTENANCE").base_url == "http://127.0.0.1:7"
    assert (first.health(), second.health()) == ("MAINTENANCE", "ONLINE")
    found = items_of(old.get("/discovery/services").json())
    assert [(each.service_id, each.base_url) for each in found] == [("b", "http://127.0.0.1:8")]
    assert first.leave() == 204
    assert second.read().service_id == "b"
    assert Service.objects.count() == 1


def test_what_is_in_use_stays_when_its_last_instance_leaves(old: httpx2.Client) -> None:
    service = OldService(old, service_id=OWN_ID)
    service.register()
    step = {"id": "plan", "service": "planning-system", "action": "post_plans_strategic"}
    assert old.post("/workflows", json={"name": "w", "steps": [step]}).status_code == 201
    assert service.leave() == 204
    assert Service.objects.get().status == "OFFLINE"
    assert service.register().service_id == OWN_ID


def test_discovery_answers_all_in_an_envelope(old: httpx2.Client, monkeypatch: Any) -> None:
    monkeypatch.setattr("integration_site.legacy.services.MOST_OF_A_PAGE", "2")
    for number in range(5):
        OldService(old, name=f"s{number}", service_id=f"id-{number}").register()
    factories.make_service("custom", urls=("http://127.0.0.1:9",), type="CUSTOM")
    found = items_of(old.get("/discovery/services?include_offline=false").json())
    assert {each.service_id for each in found} >= {f"id-{n}" for n in range(5)}
    assert len(found) == 6
    query = {"service_type": "planning_system", "include_offline": None}
    found = items_of(old.post("/discovery/services/search", json=query).json())
    assert len(found) == 5
    assert len(items_of(old.post("/discovery/services/search", json={}).json())) == 6
    one = parse(ServiceInfo, old.get("/discovery/services/type/PLANNING_SYSTEM").json())
    assert one.service_id.startswith("id-")
    missing = old.get("/discovery/services/type/API_GATEWAY")
    assert missing.status_code == 404
    assert missing.json()["detail"] == "No service of type API_GATEWAY found"


def test_the_health_of_the_system_is_by_own_ids(old: httpx2.Client) -> None:
    OldService(old, service_id=OWN_ID).register()
    factories.make_service("odd", urls=("http://127.0.0.1:9",), instance={"status": "UNKNOWN"})
    instance = ServiceInstance.objects.get(aliases__alias=OWN_ID)
    CircuitBreakerState.objects.create(instance=instance, state="FORCED_OPEN", failure_count=3)
    health = parse(SystemHealth, old.get("/health/system").json())
    assert health.status == "UNHEALTHY"  # no worker
    assert health.service_statuses[OWN_ID] == "ONLINE"
    assert health.circuit_breaker_statuses[OWN_ID].state == "OPEN"
    circuits = old.get("/health/circuit-breakers").json()["circuit_breakers"]
    assert parse(CircuitInfo, circuits[OWN_ID]).failure_count == 3


def test_the_shared_client_reads_and_changes(old: httpx2.Client) -> None:
    service = OldService(old, service_id=OWN_ID, capabilities=["plan"])
    service.register()
    for query in ({"service_type": "planning_system"}, {"capability": "plan"}, {"per_page": 1000}):
        assert len(items_of(old.get("/api/services", params=query).json())) == 1
    assert items_of(old.get("/api/services", params={"capability": "sing"}).json()) == []
    changed = old.put(f"/api/services/{OWN_ID}", json={"description": "New", "odd": 1})
    assert parse(ServiceInfo, changed.json()).service_id == OWN_ID
    assert old.put(f"/api/services/{OWN_ID}").status_code == 200
    assert old.get(f"/api/services/{OWN_ID}/health").status_code == 200


@pytest.mark.parametrize(
    ("vocabulary", "values", "words"),
    [
        (ServiceStatus, SERVICE_STATUSES, old_client.SERVICE_STATUSES),
        (ServiceType, SERVICE_TYPES, old_client.SERVICE_TYPES),
        (CircuitState, CIRCUIT_STATES, old_client.CIRCUIT_STATES),
    ],
)
def test_every_value_is_one_that_an_old_parser_knows(
    vocabulary: Any, values: dict[str, str], words: tuple[str, ...]
) -> None:
    assert {old_value(values, value.lower()) for value in vocabulary.values} <= set(words)


def test_an_own_id_is_not_taken_from_another_owner(old: httpx2.Client) -> None:
    OldService(old, service_id=OWN_ID).register()
    thief = client_of("SERVICE")
    answer = thief.post(
        "/services", json={"name": "thief", "base_url": "http://127.0.0.1:6", "service_id": OWN_ID}
    )
    assert answer.status_code == 409
    assert "another owner" in answer.json()["detail"]
    instance = str(ServiceInstance.objects.get(service__name="planning-system").pk)
    for other in ("planning-system", instance, str(Service.objects.get(name="planning-system").pk)):
        body = {"name": "thief", "base_url": "http://127.0.0.1:6", "service_id": other}
        assert thief.post("/services", json=body).status_code == 409, other
    assert ServiceAlias.objects.get().instance.service.name == "planning-system"


def test_a_name_that_the_hub_does_not_take_is_fitted_and_answered_as_it_was(
    old: httpx2.Client,
) -> None:
    service = OldService(old, service_id=OWN_ID, name="Planner @ (one)", metadata={"team": "x"})
    info = service.register()
    assert (info.name, info.metadata) == ("Planner @ (one)", {"team": "x"})
    stored = Service.objects.get()
    assert stored.name == "Planner - -one-"
    assert [each.name for each in items_of(old.get("/services").json())] == ["Planner @ (one)"]
    by_name = old.get("/registry/services/Planner @ (one)")
    assert parse(ServiceInfo, by_name.json()).name == "Planner @ (one)"
    assert old.put("/services/Planner @ (one)", json={"name": "x/y"}).json()["name"] == "x/y"
    body = {"name": "calls: it", "source_service_id": OWN_ID, "target_service_id": OWN_ID}
    made = old.post("/integrations", json=body)
    assert (made.status_code, made.json()["name"]) == (201, "calls: it"), made.text
    assert old.get("/integrations/calls- it").json()["name"] == "calls: it"


def test_new_ids_of_one_instance_do_not_pile_up(
    old: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.services.aliases.MOST_ALIASES", 2)
    OldService(old, service_id="start-0").register()
    for number in range(1, 4):
        OldService(old, service_id=f"start-{number}").register_again()
    assert set(ServiceAlias.objects.values_list("alias", flat=True)) == {"start-2", "start-3"}
    assert old.get("/registry/services/start-3").json()["service_id"] == "start-3"


def test_calls_are_counted_by_route_and_caller(old: httpx2.Client) -> None:
    service = OldService(old, service_id=OWN_ID)
    service.register(), service.beat(), service.beat()
    rows = old.get("/health/legacy-calls").json()["items"]
    assert {row["route"]: row["calls"] for row in rows} == {
        "POST /services": 1,
        "POST /services/{service}/heartbeat": 2,
    }
    assert all(row["caller"].startswith("key-") for row in rows)
    told = old.get("/health/system").json()["legacy_api"]
    assert (told["enabled"], told["callers"], told["calls"]) == (True, 1, 3)
    assert LegacyCall.objects.count() == 3


@pytest.mark.parametrize(
    "headers", [{"User-Agent": "service-integration-client"}, {"X-API-Dialect": "present"}]
)
def test_who_speaks_as_of_today_is_answered_as_of_today(
    old: httpx2.Client, headers: dict[str, str]
) -> None:
    OldService(old, service_id=OWN_ID).register()
    answer = old.get("/discovery/health/planning-system", headers=headers).json()
    assert answer["status"] == "ONLINE"
    assert answer["service_name"] == "planning-system"
    refused = old.post("/services", json={"name": "x", "service_id": "y"}, headers=headers)
    assert refused.status_code == 400


def test_an_outage_of_the_database_is_said(
    old: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(reference: str) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr("integration_site.legacy.lookups.known_as", fail)
    answer = old.get("/registry/services/x")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json()["code"] == "service_unavailable"


def test_a_body_that_cannot_be_read_is_the_views_to_refuse(old: httpx2.Client) -> None:
    for content in (b"[1]", b"{", b'"text"'):
        answer = old.post(
            "/services", content=content, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 400
        assert answer.json()["code"] in ("malformed_json", "validation_error")


def test_the_hub_describes_itself_to_programs_and_leads_browsers(old: httpx2.Client) -> None:
    body = old.get("/").json()
    assert set(body) == {"service", "version", "status", "documentation"}
    assert old.get("/", headers={"Accept": "text/html"}).status_code == 302
