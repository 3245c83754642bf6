"""Maintenance belongs to a service or to an instance, until it is lifted or its end is reached."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.utils import timezone
from rest_framework.test import APIClient

from core.exceptions import ValidationFailed
from core.models import AuditEntry
from monitoring.tasks import sweep_heartbeats
from registry import services
from registry.calls.targets.resolver import CallTarget, resolve
from registry.discovery.base import Criteria, get_discovery
from registry.exceptions import ServiceUnavailableError
from registry.models import RegistryChange, Service, ServiceInstance
from registry.services import Heartbeat, Registration
from tests import factories

pytestmark = pytest.mark.django_db

URL, OTHER = "http://planner:8000", "http://planner-2:8000"
ONE = "/registry/services/planner"


def register(url: str = URL, **more: Any) -> Service:
    made = Registration(name="planner", url=url, actions=[{"name": "plan"}], **more)
    return services.register_service(made).service


def planner() -> Service:
    return services.get_service("planner")


def instance(url: str = URL) -> ServiceInstance:
    return ServiceInstance.objects.get(url=url)


def found() -> list[str]:
    return [service.name for service in get_discovery().find(Criteria())]


# What happens to a service while it is under maintenance, and must not end it.
EVENTS: dict[str, Callable[[], Any]] = {
    "another instance": lambda: register(OTHER),
    "an instance that says that it is online": lambda: register(OTHER, status="ONLINE"),
    "registration again": lambda: register(),
    "a heartbeat": lambda: services.beat_service("planner", Heartbeat(status="online")),
    "an instance over the API": lambda: services.add_instance(planner(), url=OTHER, fields={}),
    "a move": lambda: services.update_service(planner(), Registration(name="planner", url=OTHER)),
    "the last instance leaves": lambda: services.remove_instance(planner(), str(instance().pk)),
    "an instance is set": lambda: services.set_instance_status(
        planner(), str(instance().pk), "ONLINE"
    ),
    "silence": lambda: services.expire_instances(now=timezone.now() + timedelta(hours=1)),
}


@pytest.mark.parametrize("event", EVENTS)
def test_maintenance_of_a_service_stays_whatever_happens_to_its_instances(event: str) -> None:
    services.set_service_status(register(), "MAINTENANCE")
    EVENTS[event]()
    assert (planner().status, found()) == ("MAINTENANCE", [])
    with pytest.raises(ServiceUnavailableError):
        resolve(CallTarget("service", "planner"), "plan").selection()


def test_lifting_shows_what_was_observed_meanwhile() -> None:
    services.set_service_status(register(), "MAINTENANCE")
    register(OTHER)
    services.beat_service("planner", Heartbeat(url=OTHER, status="offline"))
    lifted = services.lift_maintenance(planner())
    assert lifted.status == "ONLINE"
    assert [i.status for i in lifted.instances.order_by("-url")] == ["ONLINE", "OFFLINE"]


def test_silence_under_maintenance_is_no_sign_of_a_mass_failure() -> None:
    for number in range(8):
        register(f"http://planner-{number}:8000")
    services.register_service(Registration(name="other", url="http://other"))
    ServiceInstance.objects.filter(service__name="other").update(ttl_seconds=3600)
    services.beat_service("other", Heartbeat())
    services.set_service_status(planner(), "MAINTENANCE")
    services.expire_instances(now=timezone.now() + timedelta(minutes=10))
    assert services.read_suspicion() is None
    assert {i.status for i in planner().instances.all()} == {"OFFLINE"}


def test_instances_of_a_service_under_maintenance_are_not_forgotten() -> None:
    services.set_service_status(register(), "MAINTENANCE")
    long_ago = timezone.now() - timedelta(days=30)
    ServiceInstance.objects.update(status="OFFLINE", last_heartbeat_at=long_ago)
    assert services.forget_gone_instances(now=timezone.now(), age=timedelta(days=7)) == 0


def test_the_sweep_lifts_maintenance_whose_end_is_reached(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.periodic_tasks.connections.close_all", lambda: None)
    register()
    register(OTHER)
    end = timezone.now() + timedelta(minutes=1)
    said = {"status": "maintenance", "until": end.isoformat()}
    api.put(f"{ONE}/status", said)
    api.put(f"{ONE}/instances/{instance(OTHER).pk}/status", said)
    assert services.end_due_maintenance(now=end - timedelta(seconds=1)) == 0
    Service.objects.update(maintenance_until=timezone.now())
    sweep_heartbeats()
    assert (planner().status, instance(OTHER).status) == ("ONLINE", "MAINTENANCE")
    assert services.end_due_maintenance(now=end) == 1
    assert instance(OTHER).status == "ONLINE"
    assert api.get(ONE).json()["maintenance"] is None
    assert RegistryChange.objects.order_by("-index")[0].status == "ONLINE"


def test_an_instance_that_is_silent_when_its_maintenance_ends_is_not_up() -> None:
    service = register()
    end = timezone.now() + timedelta(hours=1)
    services.set_instance_status(service, str(instance().pk), "MAINTENANCE", until=end)
    services.end_due_maintenance(now=end)
    assert (instance().status, found()) == ("UNKNOWN", [])


def test_who_and_why_is_told_and_recorded(api: APIClient) -> None:
    register()
    end = (timezone.now() + timedelta(hours=1)).replace(microsecond=0)
    said = {"status": "maintenance", "reason": "New disks.", "until": end.isoformat()}
    for path, pick in (
        (f"{ONE}/status", lambda body: body),
        (f"{ONE}/instances/{instance().pk}/status", lambda body: body["instances"][0]),
    ):
        told = pick(api.put(path, said).json())["maintenance"]
        assert (told["reason"], told["until"]) == ("New disks.", end.isoformat()[:19] + "Z")
        assert told["since"] and told["by"].startswith("key-")
    entries = AuditEntry.objects.filter(verb="MAINTENANCE_STARTED")
    assert [(e.object_type, e.reason) for e in entries] == [
        ("service_instance", "New disks."), ("service", "New disks."),
    ]  # fmt: skip


def test_a_new_order_replaces_the_end_and_the_reason_not_the_beginning() -> None:
    service = register()
    services.set_service_status(service, "MAINTENANCE", until=timezone.now() + timedelta(hours=1))
    began = planner().maintenance_since
    services.set_service_status(service, "MAINTENANCE", reason="Longer.")
    again = planner()
    assert (again.maintenance_since, again.maintenance_until) == (began, None)
    assert again.maintenance_reason == "Longer."


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"status": "maintenance", "until": "2020-01-01T00:00:00Z"}, "until"),
        ({"status": "maintenance", "until": "2999-01-01T00:00:00Z"}, "until"),
        ({"status": "maintenance", "until": "soon"}, "until"),
        ({"status": "online", "until": "2999-01-01T00:00:00Z"}, "until"),
        ({"status": "maintenance", "reason": "x" * 501}, "reason"),
        ({"status": "maintenance", "why": "x"}, "why"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(
    api: APIClient, said: dict[str, Any], field: str
) -> None:
    register()
    for path in (f"{ONE}/status", f"{ONE}/instances/{instance().pk}/status"):
        refused = api.put(path, said)
        assert (refused.status_code, list(refused.json()["errors"])) == (400, [field])
    assert planner().status == "ONLINE"


def test_an_instance_that_is_not_there_has_no_status(api: APIClient) -> None:
    register()
    assert api.put(f"{ONE}/instances/nonsense/status", {"status": "online"}).status_code == 404


def test_instances_are_shown_as_what_callers_have_to_take_them_for(api: APIClient) -> None:
    register()
    api.put(f"{ONE}/status", {"status": "maintenance"})
    shown = api.get(f"{ONE}/instances").json()["items"][0]
    assert (shown["status"], shown["maintenance"]) == ("MAINTENANCE", None)
    assert instance().status == "ONLINE"


def test_another_status_ends_all_maintenance_of_a_service() -> None:
    service = register()
    register(OTHER)
    services.set_instance_status(service, str(instance().pk), "MAINTENANCE")
    services.set_service_status(service, "MAINTENANCE")
    assert services.set_service_status(service, "ONLINE").status == "ONLINE"
    assert {i.status for i in planner().instances.all()} == {"ONLINE"}
    assert instance().maintenance_since is None


def test_a_service_without_instances_is_under_maintenance_too() -> None:
    service = services.register_service(Registration(name="planner")).service
    assert services.set_service_status(service, "MAINTENANCE").status == "MAINTENANCE"
    assert services.lift_maintenance(service).status == "UNKNOWN"


def test_only_a_maintenance_that_began_may_have_an_end() -> None:
    with pytest.raises(ValidationFailed, match="Only MAINTENANCE ends"):
        services.set_service_status(register(), "OFFLINE", until=timezone.now())


def test_what_was_under_maintenance_before_is_so_afterwards() -> None:
    whole = factories.make_service("whole", urls=("http://a", "http://b"))
    part = factories.make_service("part", urls=("http://c", "http://d"))
    Service.objects.filter(pk=whole.pk).update(status="MAINTENANCE")
    ServiceInstance.objects.filter(url__in=("http://a", "http://b", "http://c")).update(
        status="MAINTENANCE"
    )
    moved = importlib.import_module("registry.migrations.0010_carry_maintenance_over")
    moved.carry_over(apps, None)
    whole.refresh_from_db()
    assert whole.maintenance_since == whole.updated_at
    assert {i.status for i in whole.instances.all()} == {"UNKNOWN"}
    kept = part.instances.get(status="MAINTENANCE")
    assert (kept.url, kept.maintenance_since) == ("http://c", kept.updated_at)
    services.beat_service("whole", Heartbeat(url="http://a"))
    assert services.get_service("whole").status == "MAINTENANCE"
    moved.put_back(apps, None)
    assert {i.status for i in whole.instances.all()} == {"MAINTENANCE"}
