"""What every discovery backend keeps to, on the real ones: for Consul, on a stand-in."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.exceptions import NotFound
from monitoring.incidents import watch_fleet
from monitoring.models import Incident
from registry import services
from registry.discovery import base
from registry.discovery.base import Criteria, get_discovery
from registry.discovery.followers import when_changed
from registry.discovery.leases import Lease, LeaseDiscovery
from registry.models import RegistryChange, ServiceInstance
from registry.services import Heartbeat, Registration
from tests import factories
from tests.support.consul_agent import ConsulAgent
from tests.support.servers import find_binary, start_etcd, start_redis
from tests.support.tcp_relay import Relay
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.django_db(transaction=True)
URL = "http://planner:8000"
TOKEN = "let-me-in"
_numbers = itertools.count()


@dataclass
class Backend:
    """A backend under test; the relay is between it and the hub."""

    name: str
    relay: Relay | None = None


def needs(binary: str) -> None:
    if find_binary(binary) is None:
        pytest.skip(f"{binary} is not installed")


@pytest.fixture(scope="module")
def redis_port() -> Iterator[int]:
    needs("redis-server")
    with start_redis() as server:
        yield server.port


@pytest.fixture(scope="module")
def etcd_port() -> Iterator[int]:
    needs("etcd")
    with start_etcd() as server:
        yield server.port


@pytest.fixture(scope="module")
def consul() -> Iterator[ConsulAgent]:
    agent = ConsulAgent(token="let-me-in")
    yield agent
    agent.stop()


# Their record in the database is the same whatever holds the leases: Redis stands for all there.
LEASING = (
    "redis",
    pytest.param("etcd", marks=pytest.mark.once),
    pytest.param("consul", marks=pytest.mark.once),
)


def use_backend(name: str, request: pytest.FixtureRequest, settings: Any) -> Iterator[Backend]:
    """Let the hub use a backend in which it has nothing yet."""
    settings.SERVICE_NAME = f"hub-{next(_numbers)}"
    settings.SERVICE_DISCOVERY_BACKEND = name
    settings.SERVICE_DISCOVERY_TOKEN = TOKEN
    base.forget_strategies()
    request.addfinalizer(base.forget_strategies)
    if name == "database":
        yield Backend(name)
        return
    relay = Relay(_port(name, request))
    scheme = "redis" if name == "redis" else "http"
    settings.SERVICE_DISCOVERY_URL = f"{scheme}://127.0.0.1:{relay.port}"
    yield Backend(name, relay)
    relay.close()


@pytest.fixture(params=["database", *LEASING])
def backend(request: pytest.FixtureRequest, settings: Any) -> Iterator[Backend]:
    yield from use_backend(request.param, request, settings)


@pytest.fixture(params=LEASING)
def lease_backend(request: pytest.FixtureRequest, settings: Any) -> Iterator[Backend]:
    yield from use_backend(request.param, request, settings)


@pytest.fixture
def leasing(lease_backend: Backend) -> LeaseDiscovery:
    """Discovery on one of the backends that hold leases."""
    found = get_discovery()
    assert isinstance(found, LeaseDiscovery)
    return found


def _port(name: str, request: pytest.FixtureRequest) -> int:
    if name == "consul":
        return int(request.getfixturevalue("consul").port)
    return int(request.getfixturevalue(f"{name}_port"))


def register(name: str = "planner", url: str = URL, **instance: Any) -> ServiceInstance:
    fields = {"ttl_seconds": 30, **instance}
    services.register_service(Registration(name=name, url=url, instance_fields=fields))
    return ServiceInstance.objects.get(url=url)


def beat(name: str = "planner", **said: Any) -> str:
    return services.beat_service(name, Heartbeat(**said)).status


def found(**criteria: Any) -> list[str]:
    return [service.name for service in get_discovery().find(Criteria(**criteria))]


def sweep(seconds: float = 0) -> list[str]:
    expired = services.expire_instances(now=timezone.now() + timedelta(seconds=seconds))
    return [instance.url for instance in expired]


def row() -> Any:
    return ServiceInstance.objects.get(url=URL)


def leases(discovery: LeaseDiscovery) -> set[str]:
    return set(discovery._store.live())


def age(instance: ServiceInstance, seconds: float) -> None:
    """Let the record know of nothing within so many seconds."""
    then = timezone.now() - timedelta(seconds=seconds)
    ServiceInstance.objects.filter(pk=instance.pk).update(
        last_heartbeat_at=then, expires_at=then + timedelta(seconds=instance.ttl_seconds)
    )


def test_what_registers_is_found_and_survives_the_sweep(backend: Backend) -> None:
    register()
    assert found() == ["planner"]
    assert sweep() == []
    assert found(name="planner", statuses=("ONLINE",)) == ["planner"]


def test_a_beat_renews(backend: Backend) -> None:
    instance = register()
    age(instance, 100)
    assert beat() == "ONLINE"
    assert sweep() == []
    assert row().last_heartbeat_at > timezone.now() - timedelta(seconds=20)
    assert row().expires_at > timezone.now()


def test_silence_expires_and_the_next_beat_lifts_it(backend: Backend) -> None:
    register()
    assert sweep(29) == []
    assert sweep(31) == [URL]
    assert found() == []
    assert beat() == "ONLINE"
    assert found() == ["planner"]
    assert sweep() == []


def test_a_beat_may_bring_another_status_and_takes_it_back(backend: Backend) -> None:
    register()
    assert beat(status="degraded") == "DEGRADED"
    assert beat(status="degraded") == "DEGRADED"
    assert sweep() == []
    assert row().status == "DEGRADED"
    assert beat() == "ONLINE"
    assert beat(status="offline") == "OFFLINE"
    assert found() == []


def test_maintenance_stays_through_beats_and_sweeps(backend: Backend) -> None:
    register()
    services.set_service_status(services.get_service("planner"), "MAINTENANCE")
    for _ in range(3):
        beat()
        sweep()
    assert beat() == "MAINTENANCE"
    register(url="http://planner-2:8000")
    assert beat(url="http://planner-2:8000") == "MAINTENANCE"
    assert found() == []
    services.set_service_status(services.get_service("planner"), "UNKNOWN")
    beat(url=URL)
    assert (row().status, found()) == ("ONLINE", ["planner"])


def test_maintenance_of_an_instance_stays_apart_from_its_service(backend: Backend) -> None:
    instance = register()
    register(url="http://planner-2:8000")
    service = services.get_service("planner")
    services.set_instance_status(service, str(instance.pk), "MAINTENANCE")
    for _ in range(2):
        assert beat(url=URL) == "ONLINE"
        register()
        sweep()
    assert (row().status, found()) == ("MAINTENANCE", ["planner"])
    services.set_instance_status(service, str(instance.pk), "UNKNOWN")
    beat(url=URL)
    assert row().status == "ONLINE"


def test_the_status_of_a_person_yields_to_the_next_beat(backend: Backend) -> None:
    register()
    beat()
    services.set_service_status(services.get_service("planner"), "OFFLINE")
    sweep()
    assert found() == []
    beat()
    assert found() == ["planner"]


def test_news_in_a_beat_reach_the_record(backend: Backend) -> None:
    register()
    beat(metadata={"load": 3, "empty": [], "none": {}})
    beat()
    sweep()
    assert row().metadata == {"load": 3, "empty": [], "none": {}}


def test_long_news_in_a_beat_reach_the_record(backend: Backend) -> None:
    register()
    beat(metadata={"text": "ä" * 5000})
    sweep()
    assert row().metadata == {"text": "ä" * 5000}
    assert beat() == "ONLINE"


def test_what_leaves_is_not_found_and_does_not_beat(backend: Backend) -> None:
    instance = register()
    register(url="http://planner-2:8000")
    beat(url=URL)
    services.remove_instance(services.get_service("planner"), str(instance.pk))
    with pytest.raises(NotFound):
        beat(url=URL)
    services.unregister_service(services.get_service("planner"))
    with pytest.raises(NotFound):
        beat()
    assert found() == []
    if isinstance(discovery := get_discovery(), LeaseDiscovery):
        assert leases(discovery) == set()


def test_an_instance_that_came_since_the_last_beat_may_beat(backend: Backend) -> None:
    register()
    beat()
    register(url="http://planner-2:8000")
    assert beat(url="http://planner-2:8000") == "ONLINE"


def test_another_ttl_holds_from_the_next_beat(backend: Backend) -> None:
    register()
    beat()
    register(ttl_seconds=300)
    beat()
    assert sweep(200) == []
    assert row().expires_at > timezone.now() + timedelta(seconds=250)


def test_who_waits_for_a_change_is_woken(backend: Backend) -> None:
    register()
    index = get_discovery().latest_index()
    waiting = when_changed(index, seconds=60)
    beat(status="degraded")
    assert waiting.result(PATIENCE)
    assert [change.status for change in get_discovery().changes_after(index).entries] == [
        "DEGRADED"
    ]


def test_change_that_comes_while_changes_are_read_is_not_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    register()
    index = get_discovery().latest_index()
    aggregate = RegistryChange.objects.aggregate

    def late(**wanted: Any) -> Any:
        monkeypatch.undo()
        beat(status="degraded")
        return aggregate(**wanted)

    monkeypatch.setattr(RegistryChange.objects, "aggregate", late)
    assert get_discovery().changes_after(index).index == index
    found = get_discovery().changes_after(index)
    assert found.complete
    assert [change.status for change in found.entries] == ["DEGRADED"]


def test_a_lease_ends_by_itself(leasing: LeaseDiscovery) -> None:
    instance = register()
    # Shorter than a service may ask for, and the shortest that etcd keeps to.
    ServiceInstance.objects.update(ttl_seconds=2)
    leasing.release([instance.pk])
    beat()
    assert leases(leasing) == {str(instance.pk)}
    until(lambda: leases(leasing) == set())
    assert sweep() == [URL]


def test_a_beat_is_one_query_that_joins(leasing: LeaseDiscovery) -> None:
    register()
    beat(metadata={"load": 1})
    for metadata in (None, {"load": 1}):
        with CaptureQueriesContext(connection) as queries:
            beat(metadata=metadata)
        (query,) = queries
        assert query["sql"].startswith("SELECT") and " JOIN " in query["sql"]


@pytest.mark.usefixtures("keys_stay_known")
def test_a_beat_over_the_api_asks_for_nothing_besides(leasing: LeaseDiscovery) -> None:
    caller = factories.caller("OPERATOR")
    register()
    path = "/registry/services/planner/heartbeat"
    assert caller.post(path).status_code == 200
    with CaptureQueriesContext(connection) as queries:
        assert caller.post(path).status_code == 200
    assert not any("api_key" in query["sql"] for query in queries)
    assert len(queries) == 1


def test_beats_are_held_against_what_the_caller_owns(leasing: LeaseDiscovery) -> None:
    register()
    other = factories.caller("SERVICE")
    assert other.post("/registry/services/planner/heartbeat").status_code == 403


def test_more_leases_are_followed_than_are_read_at_once(
    leasing: LeaseDiscovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("leases", "redis", "etcd"):
        monkeypatch.setattr(f"registry.discovery.{module}.BATCH", 3)
    service = services.register_service(Registration(name="many", url=None)).service
    beat_at = timezone.now() + timedelta(minutes=1)
    for number in range(8):
        leasing.hold(factories.make_instance(service, f"http://m:{number + 1}", at=beat_at))
    ServiceInstance.objects.update(last_heartbeat_at=timezone.now())
    assert len(leases(leasing)) == 8
    leasing.follow(now=timezone.now())
    found = ServiceInstance.objects.filter(last_heartbeat_at__gt=timezone.now())
    assert found.count() == 8


def test_leases_that_are_lost_expire_nobody(leasing: LeaseDiscovery) -> None:
    register()
    leasing._store.drop(leases(leasing))
    assert sweep() == []
    assert found() == ["planner"]
    beat()
    assert len(leases(leasing)) == 1


def test_lost_leases_are_held_again_without_a_lock(leasing: LeaseDiscovery) -> None:
    register()
    beat()
    held = leases(leasing)
    leasing._store.drop(held)
    with CaptureQueriesContext(connection) as queries:
        beat()
    assert len(queries) == 2  # read, and stored as without leases: the record is locked by nobody
    assert leases(leasing) == held
    with CaptureQueriesContext(connection) as queries:
        beat()
    assert len(queries) == 1


def test_a_lease_that_does_not_fit_the_record_is_dropped(leasing: LeaseDiscovery) -> None:
    register()
    ServiceInstance.objects.update(status="OFFLINE", expired_at=timezone.now())
    sweep()
    assert leases(leasing) == set()
    assert beat() == "ONLINE"


# --- No acknowledged value is lost, whoever writes next ---


class Writers:
    """Everybody who writes of one instance; each remembers what it was answered."""

    def __init__(self) -> None:
        self._number = 600
        self.answered: dict[str, Any] = {}
        self.beaten_at: Any = None
        self.registration()

    def _count(self) -> int:
        self._number += 1
        return self._number

    def _beat(self, **said: Any) -> None:
        answer = services.beat_service("planner", Heartbeat(url=URL, **said))
        own = next(instance for instance in answer.instances.all() if instance.url == URL)
        self.answered |= {"metadata": own.metadata, "status": own.status}
        self.beaten_at = own.last_heartbeat_at

    def beat(self) -> None:
        self._beat()

    def beat_with_metadata(self) -> None:
        news = {"load": self._count()}
        self._beat(metadata=news)
        assert self.answered["metadata"] == news

    def beat_with_status(self) -> None:
        self._beat(status="degraded", metadata={"load": self._count()})
        assert self.answered["status"] == "DEGRADED"

    def registration(self) -> None:
        ttl = self._count()
        register(ttl_seconds=ttl)
        self.answered |= {"ttl_seconds": ttl, "status": "ONLINE"}

    def status(self) -> None:
        services.set_service_status(services.get_service("planner"), "UNKNOWN")
        self.answered["status"] = "UNKNOWN"

    def patch(self) -> None:
        weight = self._count()
        said = Registration(name="planner", instance_fields={"weight": weight})
        services.update_service(services.get_service("planner"), said)
        self.answered["weight"] = weight

    def neighbour(self) -> None:
        url = "http://planner-2:8000"
        register(url=url, ttl_seconds=30)
        beat(url=url, metadata={"other": True})
        left = ServiceInstance.objects.get(url=url)
        services.remove_instance(services.get_service("planner"), str(left.pk))

    def sweep(self) -> None:
        assert sweep() == []

    def check(self) -> None:
        """Everything that was answered is in the record, the time once that has followed."""
        kept = row()
        assert {name: getattr(kept, name) for name in self.answered} == self.answered


WRITERS = [name for name in vars(Writers) if not name.startswith("_") and name != "check"]


def test_no_acknowledged_value_is_lost_between_two_writers(backend: Backend) -> None:
    writers = Writers()
    for pair in itertools.product(WRITERS, repeat=2):
        for name in pair:
            getattr(writers, name)()
            writers.check()
        if writers.beaten_at:
            get_discovery().follow(now=timezone.now())
            assert row().last_heartbeat_at >= writers.beaten_at, pair
            left = (row().expires_at - writers.beaten_at).total_seconds()
            assert left >= row().ttl_seconds, pair


def test_who_leaves_takes_what_it_said_along(backend: Backend) -> None:
    for leave in (
        lambda: services.remove_instance(services.get_service("planner"), str(row().pk)),
        lambda: services.unregister_service(services.get_service("planner")),
    ):
        register()
        beat(metadata={"load": 1})
        leave()
        sweep()
        register()
        assert row().metadata == {}


def test_a_beat_between_the_look_and_the_verdict_of_the_sweep_counts(
    leasing: LeaseDiscovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = register()
    sweep()
    monkeypatch.setattr(leasing, "follow", lambda *, now: beat())
    age(instance, 100)
    assert services.expire_instances(now=timezone.now()) == []
    assert (row().status, found()) == ("ONLINE", ["planner"])


# --- The backend does not answer ---


@pytest.fixture(params=["cut", "hang"])
def outage(
    request: pytest.FixtureRequest, lease_backend: Backend, leasing: LeaseDiscovery
) -> Relay:
    register()
    sweep()
    relay = lease_backend.relay
    assert relay is not None
    getattr(relay, request.param)()
    return relay


def test_the_registry_answers_and_says_that_it_is_stale(
    outage: Relay, leasing: LeaseDiscovery
) -> None:
    assert leasing.staleness() is None
    api = factories.caller("OPERATOR")
    assert sweep(3600) == []
    answer = api.get("/discovery/services")
    assert [item["name"] for item in answer.json()["items"]] == ["planner"]
    assert answer.json()["stale"] is True
    assert answer["X-Discovery-Stale-Since"] == answer.json()["stale_since"]
    assert api.get("/discovery/watch").json()["stale"] is True


def test_beats_go_to_the_record_meanwhile(outage: Relay, leasing: LeaseDiscovery) -> None:
    age(row(), 100)
    assert beat() == "ONLINE"
    assert row().last_heartbeat_at > timezone.now() - timedelta(seconds=20)
    assert leasing.staleness() is not None
    register(url="http://planner-2:8000")
    assert beat(url="http://planner-2:8000", status="degraded") == "DEGRADED"


def test_only_one_caller_waits_for_it(
    outage: Relay, leasing: LeaseDiscovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat()
    asked: list[Lease] = []
    monkeypatch.setattr(leasing._store, "renew", asked.extend)
    leasing._reach._retry_at = time.monotonic() + 60
    for _ in range(5):
        beat()
    assert asked == []


def test_afterwards_it_is_learnt_again(outage: Relay, leasing: LeaseDiscovery) -> None:
    assert sweep() == []
    watch_fleet()
    assert Incident.objects.unresolved().get().subject == "DISCOVERY_BACKEND"
    beat()
    outage.mend()
    leasing._reach._retry_at = 0.0
    until(lambda: sweep() == [] and services.read_unreachable() is None)
    watch_fleet()
    assert not Incident.objects.unresolved().exists()
    assert leasing.staleness() is None
    assert beat() == "ONLINE"
    assert leases(leasing) == {str(row().pk)}
    # In steps: what a sweep is late is added to every lease.
    assert [url for seconds in range(0, 45, 9) for url in sweep(seconds)] == [URL]


def test_changes_are_seen_meanwhile(outage: Relay) -> None:
    index = get_discovery().latest_index()
    RegistryChange.objects.create(
        service_id=row().service_id, service_name="x", kind="UPDATED", status="ONLINE"
    )
    assert when_changed(index, seconds=60).result(PATIENCE)
