"""The earlier registry in Redis is taken over once, followed, and written to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.core.management import CommandError, call_command

from integration_site.legacy.redis_entries import EntryRefused, read_entry, registration_of
from integration_site.legacy.redis_registry import RedisRegistry, RegistrySync
from registry.models import Service, ServiceInstance
from registry.services import get_service
from tests import factories
from tests.support.old_client import ServiceInfo, parse
from tests.support.servers import missing_servers, start_redis

ENTRY = {
    "service_id": "plan-1", "name": "planner", "type": "planning_system", "version": "2.0",
    "base_url": "http://127.0.0.1:9", "health_check_url": "http://127.0.0.1:9/health",
    "endpoints": [{"path": "/plans", "method": "GET", "description": "", "owner": "x"}],
    "metadata": {"team": "a"}, "status": "online", "last_heartbeat": "2025-03-26T10:00:00",
    "registered_at": "2025-03-26T09:00:00",
}  # fmt: skip


def entry(**fields: Any) -> str:
    return json.dumps({**ENTRY, **fields})


# --- Reading what is there ---


def test_an_entry_becomes_a_registration() -> None:
    registration, mended = registration_of(read_entry("plan-1", entry()))
    assert (registration.name, registration.url) == ("planner", "http://127.0.0.1:9")
    assert registration.fields["type"] == "PLANNING_SYSTEM"
    assert registration.instance_fields["ttl_seconds"] == 60
    assert [action["name"] for action in registration.actions or ()] == ["get_plans"]
    assert mended == ()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"type": "tool"}, "its type was 'tool', and is CUSTOM now"),
        ({"status": None}, "its status was None, and is ONLINE now"),
        ({"endpoints": [{"method": "GET"}]}, "some of its endpoints are none"),
        ({"endpoints": {"a": 1}}, "some of its endpoints are none"),
    ],
)
def test_what_nobody_knows_is_mended_and_said(fields: Any, words: str) -> None:
    _, mended = registration_of(read_entry("plan-1", entry(**fields)))
    assert words in mended[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not usable JSON"),
        ("[1]", "no JSON object"),
        (entry(name=""), "no name"),
        (entry(base_url=None), "no base_url"),
    ],
)
def test_what_is_no_service_is_refused(text: str, words: str) -> None:
    with pytest.raises(EntryRefused, match=words):
        registration_of(read_entry("x", text))


# --- With a Redis ---


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    if missing_servers():
        pytest.skip("there is no redis-server")
    with start_redis() as server:
        yield f"redis://{server.host}:{server.port}/0"


class OldRegistry:
    """The keys as the earlier system writes them, below a prefix of the test's own."""

    def __init__(self, url: str) -> None:
        self.url, self.prefix = url, f"[{uuid4()}]*:service:"
        self.redis = redis.Redis.from_url(url, decode_responses=True)

    def put(self, key: str, text: str, kind: str = "PLANNING_SYSTEM", seconds: int = 60) -> None:
        self.redis.set(self.prefix + key, text, ex=seconds)
        self.redis.sadd(f"{self.prefix}type:{kind}", key)

    def read(self, key: str) -> ServiceInfo | None:
        text = self.redis.get(self.prefix + key)
        return None if text is None else parse(ServiceInfo, json.loads(str(text)))

    def of_type(self, kind: str) -> set[Any]:
        return set(self.redis.smembers(f"{self.prefix}type:{kind}"))


@pytest.fixture
def store(redis_url: str, db: None) -> Iterator[OldRegistry]:
    store = OldRegistry(redis_url)
    yield store
    store.redis.close()


@pytest.fixture
def sync(store: OldRegistry) -> Iterator[RegistrySync]:
    hub = RedisRegistry(store.url, prefix=store.prefix)
    yield RegistrySync(hub, owner="fleet-key")
    hub.close()


@pytest.mark.once
def test_a_registry_is_taken_over_once(store: OldRegistry) -> None:
    store.put("plan-1", entry())
    store.put("plan-2", entry(service_id="plan-2", base_url="http://127.0.0.1:8", type="tool"))
    store.put("bad", "{")
    store.put("worse", entry(name="no/name"))
    out = StringIO()
    options = {"url": store.url, "prefix": store.prefix, "owner": "fleet-key", "stdout": out}
    call_command("adopt_redis", **options)
    assert "2 registered, 0 renewed, 1 mended, 2 left" in out.getvalue()
    assert "left worse: name" in out.getvalue()
    service = get_service("plan-2")
    assert (service.name, service.owner, service.instances.count()) == ("planner", "fleet-key", 2)
    call_command("adopt_redis", json=True, **options)
    assert Service.objects.count() == 1
    assert set(json.loads(out.getvalue().splitlines()[-1])["left"]) == {"bad", "worse"}


@pytest.mark.once
def test_signs_of_life_are_followed(store: OldRegistry, sync: RegistrySync) -> None:
    store.put("plan-1", entry())
    assert sync.look().registered == ["plan-1"]
    instance = ServiceInstance.objects.get()
    heard = instance.last_heartbeat_at
    assert sync.look().renewed == []
    store.put("plan-1", entry(last_heartbeat="2025-03-26T10:00:30", status="MAINTENANCE"))
    assert sync.look().renewed == ["plan-1"]
    instance.refresh_from_db()
    assert (instance.status, instance.has_beaten) == ("MAINTENANCE", False)
    assert instance.last_heartbeat_at and heard
    assert instance.last_heartbeat_at > heard
    store.put("plan-1", entry(last_heartbeat="2025-03-26T10:01:00"), seconds=70)
    sync.look()
    instance.refresh_from_db()
    assert instance.status == "ONLINE"
    store.put("plan-1", entry(last_heartbeat="2025-03-26T10:01:00"), seconds=90)
    assert sync.look().renewed == ["plan-1"]  # only its time to live was put off
    store.redis.delete(store.prefix + "plan-1")
    sync.look()
    instance.refresh_from_db()
    assert instance.status == "ONLINE"  # until its time is over


@pytest.mark.once
def test_the_hub_writes_what_is_not_from_there(store: OldRegistry, sync: RegistrySync) -> None:
    store.put("plan-1", entry())
    other = factories.make_service("other", urls=("http://127.0.0.1:7",), type="CUSTOM")
    key = str(other.instances.get().pk)
    assert sync.look(both_ways=True).written == 1
    info = store.read(key)
    assert info is not None
    assert (info.name, info.base_url, info.type) == (
        "other", "http://127.0.0.1:7", "TOOL_INTEGRATION",
    )  # fmt: skip
    assert store.of_type("TOOL_INTEGRATION") == {key}
    assert store.redis.get(store.prefix + "plan-1") == entry()
    again = sync.look(both_ways=True)
    assert (again.registered, again.written) == ([], 1)
    other.instances.update(status="OFFLINE")
    assert sync.look(both_ways=True).removed == 1
    assert store.read(key) is None
    assert store.of_type("TOOL_INTEGRATION") == set()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": ""}, "Say where"),
        ({"url": "http://x"}, "--from"),
        ({"url": "redis://127.0.0.1:9", "every": 0.1}, "--every"),
        ({"url": "redis://127.0.0.1:9"}, "Redis does not answer"),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_sentence(options: Any, words: str) -> None:
    with pytest.raises(CommandError, match=words):
        call_command("adopt_redis", **options)
