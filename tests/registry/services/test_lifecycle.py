"""Services register, beat, change status, fall silent and leave."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db import connection, connections
from django.utils import timezone

from core.exceptions import Conflict, NotFound, PreconditionFailed, ValidationFailed
from registry import services
from registry.discovery.base import Changes, Criteria, ServiceDiscoveryFactory, get_discovery
from registry.discovery.database import version_key
from registry.models import RegistryChange, Service, ServiceAction, ServiceInstance
from registry.policies.registering import Registrant
from registry.services import Heartbeat, Registration
from tests import factories

URL = "http://planner:8000"
ME, OTHER = Registrant(name="me"), Registrant(name="other")


def register(name: str = "planner", url: str | None = URL, **more: Any) -> services.Registered:
    return services.register_service(Registration(name=name, url=url, **more), registrant=ME)


@pytest.mark.django_db
def test_a_new_service_is_taken_up_with_its_instance_and_actions() -> None:
    made = register(
        fields={"type": "PLANNING_SYSTEM", "tags": ["a"]},
        instance_fields={"ttl_seconds": 30, "zone": "eu"},
        actions=[{"name": "plan", "path": "/plans"}],
    )
    assert made.created
    assert (made.service.status, made.service.owner) == ("ONLINE", "me")
    instance = made.service.instances.get()
    assert (instance.url, instance.ttl_seconds, instance.zone) == (URL, 30, "eu")
    assert instance.last_heartbeat_at is not None
    assert instance.expires_at == instance.last_heartbeat_at + timedelta(seconds=30)
    assert made.service.actions.get().path == "/plans"
    assert RegistryChange.objects.get().kind == "REGISTERED"


@pytest.mark.django_db
def test_the_same_name_and_url_refresh_and_another_url_adds_an_instance() -> None:
    first = register()
    again = register("PLANNER")  # says nothing new: no change
    register(fields={"version": "2"})
    second = register(url="http://planner-2:8000")
    assert (again.created, second.created) == (False, True)
    assert first.service.pk == again.service.pk == second.service.pk
    assert second.service.instances.count() == 2
    kinds = list(RegistryChange.objects.values_list("kind", flat=True))
    assert kinds == ["REGISTERED", "UPDATED", "REGISTERED"]


@pytest.mark.django_db
def test_actions_are_replaced_with_all_that_was_said_of_them() -> None:
    schema = {"type": "object", "required": ["x"]}
    register(actions=[{"name": "a", "input_schema": schema, "timeout_seconds": 3}, {"name": "b"}])
    kept = ServiceAction.objects.get(name="a")
    register(actions=[{"name": "a"}, {"name": "c"}])
    assert set(ServiceAction.objects.values_list("name", flat=True)) == {"a", "c"}
    after = ServiceAction.objects.get(name="a")
    assert (after.pk, after.created_at) == (kept.pk, kept.created_at)
    assert (after.input_schema, after.timeout_seconds) == ({}, None)
    register()
    assert ServiceAction.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("registration", "path"),
    [
        ({"name": "no/slash"}, "name"),
        ({"url": "ftp://x"}, "url"),
        ({"fields": {"type": "nonsense"}}, "type"),
        ({"fields": {"tags": "text"}}, "tags"),
        ({"fields": {"metadata": []}}, "metadata"),
        ({"instance_fields": {"weight": -1}}, "weight"),
        ({"instance_fields": {"ttl_seconds": 1}}, "ttl_seconds"),
        ({"actions": [{"name": "a"}, {"name": "b c"}]}, "actions[1].name"),
        ({"actions": [{"name": "a"}, {"name": "a"}]}, "actions[1].name"),
        ({"actions": [{"name": "a", "path": "x"}]}, "actions[0].path"),
        ({"actions": [{"name": "a", "input_schema": {"type": 5}}]}, "actions[0].input_schema"),
        ({"status": "nonsense"}, "status"),
    ],
)
def test_a_wrong_registration_names_the_field_and_stores_nothing(
    registration: dict[str, Any], path: str
) -> None:
    with pytest.raises(ValidationFailed) as caught:
        register(**registration)
    assert path in caught.value.errors
    assert not Service.objects.exists()


@pytest.mark.django_db
def test_only_the_owner_may_refresh_when_asked_to_hold_to_it() -> None:
    register()
    other = Registration(name="planner", url=URL)
    with pytest.raises(PermissionDenied, match="belongs to another owner"):
        services.register_service(other, registrant=replace(OTHER, only_own=True))
    assert services.register_service(other, registrant=OTHER).service.owner == "me"


@pytest.fixture
def shared_database(transactional_db: None, tmp_path: Path) -> Iterator[None]:
    """A database that several threads can use: on SQLite a file in place of the one in memory."""
    if connection.vendor != "sqlite":
        yield
        return
    connection.ensure_connection()
    copy = tmp_path / "hub.sqlite3"
    with sqlite3.connect(copy) as target:
        connection.connection.backup(target)
    target.close()
    options = connections.settings["default"]
    name, options["NAME"] = options["NAME"], str(copy)
    yield
    options["NAME"] = name


def at_once(work: Callable[[int], object], *, count: int) -> list[object]:
    """Run `work` in that many threads, begun together; what each returned or raised."""
    barrier = threading.Barrier(count)
    found: list[object] = [None] * count

    def run(position: int) -> None:
        barrier.wait()
        try:
            found[position] = work(position)
        except Exception as error:
            found[position] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def in_thread(work: Callable[[], object]) -> object:
    (found,) = at_once(lambda _: work(), count=1)
    return found


@pytest.mark.django_db(transaction=True)
def test_registrations_at_once_make_one_service_with_all_instances(shared_database: None) -> None:
    found = at_once(lambda n: register(("planner", "Planner")[n % 2], f"http://p:{n + 1}"), count=8)
    assert all(isinstance(each, services.Registered) and each.created for each in found), found
    counted = in_thread(lambda: (Service.objects.count(), ServiceInstance.objects.count()))
    assert counted == (1, 8)


@pytest.mark.django_db(transaction=True)
def test_the_same_registration_at_once_is_new_once(shared_database: None) -> None:
    found = at_once(lambda _: register().created, count=6)
    assert sorted(map(str, found)) == ["False"] * 5 + ["True"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("whole", [True, False])
def test_a_beat_does_not_lift_maintenance_that_was_set_while_it_came(
    shared_database: None, whole: bool
) -> None:
    def beat_after_maintenance() -> object:
        service = register().service
        instance = str(service.instances.get().pk)
        seen = services.get_service("planner")
        services.set_instance_status(service, instance, "maintenance")
        if whole:
            services.set_service_status(service, "maintenance")
        services.record_heartbeat(seen, Heartbeat())
        found = services.get_service("planner")
        return found.status, found.instances.get().status

    assert in_thread(beat_after_maintenance) == ("MAINTENANCE", "MAINTENANCE")


@pytest.mark.django_db
def test_a_beat_that_crosses_the_sweep_brings_the_service_back() -> None:
    """The beat read ONLINE, the sweep wrote OFFLINE: the service must not stay OFFLINE."""
    register()
    seen = services.get_service("planner")
    list(seen.instances.all())
    services.expire_instances(now=timezone.now() + timedelta(hours=1))
    assert services.get_service("planner").status == "OFFLINE"
    services.record_heartbeat(seen, Heartbeat())
    found = services.get_service("planner")
    assert (found.status, found.instances.get().status) == ("ONLINE", "ONLINE")


@pytest.mark.django_db
def test_silence_makes_offline_and_the_next_beat_lifts_it() -> None:
    register(instance_fields={"ttl_seconds": 30})
    now = timezone.now()
    assert services.expire_instances(now=now + timedelta(seconds=29)) == []
    expired = services.expire_instances(now=now + timedelta(seconds=31))
    assert [instance.url for instance in expired] == [URL]
    assert services.get_service("planner").status == "OFFLINE"
    assert services.expire_instances(now=now + timedelta(seconds=60)) == []
    services.record_heartbeat(services.get_service("planner"), Heartbeat())
    assert services.get_service("planner").status == "ONLINE"
    changes = list(RegistryChange.objects.values_list("kind", "status"))
    assert changes[1:] == [("STATUS_CHANGED", "OFFLINE"), ("STATUS_CHANGED", "ONLINE")]


@pytest.mark.django_db
def test_one_silent_instance_of_two_degrades_the_service() -> None:
    register()
    register(url="http://planner-2:8000", instance_fields={"ttl_seconds": 3600})
    services.expire_instances(now=timezone.now() + timedelta(minutes=10))
    assert services.get_service("planner").status == "DEGRADED"


@pytest.mark.django_db
def test_a_sweep_takes_no_more_than_its_limit(settings: Any) -> None:
    settings.MASS_EXPIRY_PERCENT = 100
    for number in range(5):
        register(f"s{number}", f"http://s:{number + 1}")
    later = timezone.now() + timedelta(hours=1)
    assert len(services.expire_instances(now=later, limit=3)) == 3
    assert len(services.expire_instances(now=later, limit=3)) == 2


@pytest.mark.django_db
def test_maintenance_stays_through_beats_and_silence_until_it_is_lifted() -> None:
    service = register().service
    services.set_service_status(service, "Maintenance")
    services.record_heartbeat(services.get_service("planner"), Heartbeat(status="online"))
    services.expire_instances(now=timezone.now() + timedelta(hours=1))
    assert services.get_service("planner").status == "MAINTENANCE"
    services.set_service_status(service, "online")
    assert services.get_service("planner").status == "ONLINE"


@pytest.mark.django_db
def test_every_other_status_yields_to_the_next_beat() -> None:
    service = register().service
    services.set_service_status(service, "inactive")
    assert services.get_service("planner").status == "OFFLINE"
    services.record_heartbeat(services.get_service("planner"), Heartbeat(status="degraded"))
    assert services.get_service("planner").status == "DEGRADED"
    services.record_heartbeat(services.get_service("planner"), Heartbeat())
    assert services.get_service("planner").status == "ONLINE"


@pytest.mark.django_db
def test_a_beat_changes_no_more_than_it_says() -> None:
    register(instance_fields={"zone": "eu"})
    seen = services.get_service("planner")
    ServiceInstance.objects.update(zone="us", metadata={"a": 1})
    services.record_heartbeat(seen, Heartbeat())
    assert ServiceInstance.objects.get().metadata == {"a": 1}
    services.record_heartbeat(seen, Heartbeat(metadata={"load": 3}))
    instance = ServiceInstance.objects.get()
    assert (instance.zone, instance.metadata) == ("us", {"load": 3})


@pytest.mark.django_db
def test_with_several_instances_a_beat_says_whose_it_is() -> None:
    register()
    service = register(url="http://planner-2:8000").service
    with pytest.raises(ValidationFailed, match="has 2 instances"):
        services.record_heartbeat(service, Heartbeat())
    services.record_heartbeat(service, Heartbeat(url=URL, status="degraded"))
    second = service.instances.get(url="http://planner-2:8000")
    services.record_heartbeat(service, Heartbeat(instance_id=str(second.pk), status="offline"))
    found = services.get_service("planner").instances.order_by("url")
    assert [instance.status for instance in found] == ["OFFLINE", "DEGRADED"]
    with pytest.raises(NotFound, match="no instance 'http://other'"):
        services.record_heartbeat(service, Heartbeat(url="http://other"))


@pytest.mark.django_db
def test_a_service_without_instances_cannot_beat() -> None:
    with pytest.raises(NotFound, match="Register it with its url first"):
        services.record_heartbeat(register(url=None).service, Heartbeat())


@pytest.mark.django_db
def test_a_beat_of_an_instance_that_is_gone_is_refused() -> None:
    register()
    seen = services.get_service("planner")
    list(seen.instances.all())
    services.remove_instance(seen, str(seen.instances.get().pk))
    with pytest.raises(NotFound, match="removed meanwhile"):
        services.record_heartbeat(seen, Heartbeat())


@pytest.mark.django_db
def test_a_service_whose_last_instance_left_is_offline() -> None:
    service = register().service
    services.remove_instance(service, str(service.instances.get().pk))
    assert services.get_service("planner").status == "OFFLINE"
    with pytest.raises(NotFound):
        services.remove_instance(service, "nonsense")


@pytest.mark.django_db
def test_a_record_without_instances_keeps_the_status_that_it_is_given() -> None:
    service = register(url=None).service
    assert service.status == "UNKNOWN"
    assert services.set_service_status(service, "active").status == "ONLINE"


@pytest.mark.django_db
def test_a_new_url_moves_the_only_instance_and_joins_others() -> None:
    service = register(instance_fields={"zone": "eu"}).service
    services.update_service(service, Registration(name="planner", url="http://moved"))
    assert [(i.url, i.zone) for i in ServiceInstance.objects.all()] == [("http://moved", "eu")]
    register(url="http://second")
    services.update_service(service, Registration(name="planner", url="http://third"))
    assert ServiceInstance.objects.count() == 3


@pytest.mark.django_db
def test_renaming_to_a_taken_name_is_a_conflict() -> None:
    register("other", "http://other")
    service = register().service
    with pytest.raises(Conflict, match="'OTHER' exists already"):
        services.update_service(service, Registration(name="OTHER"))


@pytest.mark.django_db
def test_who_insists_on_what_it_read_does_not_overwrite_a_later_change() -> None:
    read = register().service
    services.update_service(read, Registration(name="planner", fields={"description": "first"}))
    for change in (
        lambda: services.update_service(read, Registration(name="x"), if_unchanged=True),
        lambda: services.unregister_service(read, if_unchanged=True),
    ):
        with pytest.raises(PreconditionFailed, match="changed since"):
            change()


@pytest.mark.django_db
def test_what_is_gone_is_not_changed() -> None:
    service = register().service
    services.unregister_service(service)
    assert not ServiceInstance.objects.exists()
    assert RegistryChange.objects.order_by("-index")[0].kind == "UNREGISTERED"
    with pytest.raises(NotFound, match="removed meanwhile"):
        services.set_service_status(service, "online")


@pytest.mark.django_db
def test_long_gone_instances_and_old_changes_are_forgotten(monkeypatch: Any) -> None:
    register()
    register(url="http://planner-2:8000")
    now = timezone.now()
    services.expire_instances(now=now + timedelta(hours=1))
    ServiceInstance.objects.filter(url=URL).update(last_heartbeat_at=now - timedelta(days=8))
    assert services.forget_gone_instances(now=now, age=timedelta(days=7)) == 1
    monkeypatch.setattr("registry.discovery.change_log.KEPT_CHANGES", 2)
    services.cut_change_log()
    assert [i.url for i in ServiceInstance.objects.all()] == ["http://planner-2:8000"]
    assert RegistryChange.objects.count() == 2


@pytest.mark.django_db
def test_changes_after_an_index() -> None:
    discovery = get_discovery()
    assert discovery.changes_after(0) == Changes(0, (), complete=True)
    register()
    register("second", "http://second")
    first, second = RegistryChange.objects.all()
    assert discovery.latest_index() == second.index
    assert discovery.changes_after(second.index) == Changes(second.index, (), complete=True)
    found = discovery.changes_after(first.index)
    assert [entry.service_name for entry in found.entries] == ["second"]
    assert found.complete
    assert not discovery.changes_after(second.index + 10).complete
    RegistryChange.objects.filter(index=first.index).delete()
    assert not discovery.changes_after(first.index - 1).complete


def names(**criteria: Any) -> set[str]:
    return {service.name for service in get_discovery().find(Criteria(**criteria))}


@pytest.fixture
def fleet(db: None) -> None:
    factories.make_service(
        "a", status="ONLINE", type="PLANNING_SYSTEM", version="1.10.2", tags=["x", "y"],
        metadata={"region": "eu", "gpu": True, "size": 3}, actions=("plan",), urls=("http://a",),
        instance={"zone": "z1"}, description="Plans",
    )  # fmt: skip
    factories.make_service(
        "b", status="DEGRADED", type="CUSTOM", version="1.9", tags=["y", "z"],
        metadata={"region": "us", "gpu": "true", "size": 2**70},
    )  # fmt: skip
    factories.make_service("c", status="OFFLINE", type="CUSTOM", version="v2", tags=["x"])
    factories.make_service("d", status="MAINTENANCE", metadata={"region": None})


@pytest.mark.parametrize(
    ("criteria", "found"),
    [
        ({}, "ab"),
        ({"include_offline": True}, "abcd"),
        ({"statuses": ("OFFLINE", "MAINTENANCE")}, "cd"),
        ({"types": ("PLANNING_SYSTEM",)}, "a"),
        ({"types": ("PLANNING_SYSTEM", "CUSTOM"), "include_offline": True}, "abcd"),
        ({"name": "A"}, "a"),
        ({"search": "plan"}, "a"),
        ({"search": "100%"}, ""),
        ({"action": "plan"}, "a"),
        ({"action": "other"}, ""),
        ({"zone": "z1"}, "a"),
        ({"tags_all": ("x", "y")}, "a"),
        ({"tags_all": ("x",), "include_offline": True}, "ac"),
        ({"tags_any": ("x", "z")}, "ab"),
        ({"tags_none": ("z",)}, "a"),
        ({"tags_all": ("y",), "tags_none": ("x",)}, "b"),
        ({"metadata": {"region": "eu"}}, "a"),
        ({"metadata": {"gpu": True}}, "a"),
        ({"metadata": {"gpu": "true"}}, "b"),
        ({"metadata": {"size": 3}}, "a"),
        ({"metadata": {"size": 3.0}}, "a"),
        ({"metadata": {"size": "3"}}, ""),
        ({"metadata": {"size": 2**70}}, "b"),
        ({"metadata": {"size": 10**299}}, ""),
        ({"metadata": {"region": "eu", "size": 4}}, ""),
        ({"metadata": {"region": None}, "include_offline": True}, "d"),
        ({"metadata_texts": {"gpu": "true"}}, "ab"),
        ({"metadata_texts": {"size": "3"}}, "a"),
        ({"metadata_texts": {"region": "eu"}}, "a"),
        ({"metadata_texts": {'"]}': '{"a'}}, ""),
        ({"minimum_version": "1.9"}, "ab"),
        ({"minimum_version": "1.10"}, "a"),
        ({"minimum_version": "2", "include_offline": True}, "c"),
    ],
)
def test_services_are_found_by_criteria(fleet: None, criteria: dict[str, Any], found: str) -> None:
    assert names(**criteria) == set(found)


def test_versions_compare_by_their_numbers() -> None:
    assert version_key("1.10.2") > version_key("1.9") > version_key("v1.8+build5") > version_key("")


def test_discovery_backends_are_made_by_name() -> None:
    assert ServiceDiscoveryFactory.create("database") is not None
    with pytest.raises(ImproperlyConfigured, match="SERVICE_DISCOVERY_BACKEND is 'x'"):
        ServiceDiscoveryFactory.create("x")
