import json
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.fields import DateTimeField

from core.api.exchange import CONCERN_KEY, WebAnswer, WebRequest
from core.api_keys import revoke_key
from core.models import ApiKey
from integration_site.front.django_middleware import with_common_headers
from registry import services
from registry.api.gathered_heartbeats import answer_heartbeats
from registry.api.gathered_reads import answer_service_reads
from registry.models import Service, ServiceInstance, ServiceStatus
from registry.policies.liveness import Liveness
from registry.policies.registering import Acceptance
from registry.services.status import refresh_status
from tests import factories
from tests.support.credentials import make_credential
from tests.support.waiting import PATIENCE
from tests.support.web_requests import by_django, web_request

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("keys_stay_known")]
NOW = datetime(2030, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
METADATA: tuple[dict[str, Any], ...] = (
    {}, {"zone": "eu", "a": [1, 2.5, None]}, {"ü": "☃ \u2028 \"quoted\" \\"}, {"deep": {"b": {}}},
)  # fmt: skip


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The time, which the first of these is."""
    times = [NOW]
    monkeypatch.setattr(timezone, "now", lambda: times[0])
    return times


def make_any_service(number: int, dice: random.Random) -> Service:
    """A service in one of all the states that services are in."""
    service = factories.make_service(
        f"Service-{number}",
        urls=tuple(f"http://s{number}-{copy}:80{copy}0/x" for copy in range(dice.randint(1, 4))),
        actions=("plan", "pay")[: dice.randrange(3)],
        owner=dice.choice(("owner", "other")),
        metadata=dice.choice(METADATA),
        tags=dice.choice(([], ["a", "ü"])),
        description=dice.choice(("", "Ünits\n\t\x7f")),
        liveness=dice.choice(Liveness.values),
        breaker=dice.choice(({}, {"failure_threshold": 10})),
    )
    if dice.random() < 0.2:
        service.credential = make_credential("BEARER_TOKEN", name=f"key-{number}")
    if dice.random() < 0.2:
        until = dice.choice((None, NOW + timedelta(days=1)))
        service.begin_maintenance(at=NOW - timedelta(hours=1), until=until, reason="Ümbau", by="x")
    if number == 3:
        service.acceptance = Acceptance.PENDING
    service.save()
    for instance in service.instances.all():
        put_into_any_state(instance, dice)
    refresh_status(service)
    return service


def put_into_any_state(instance: ServiceInstance, dice: random.Random) -> None:
    def ago() -> datetime:
        return NOW - timedelta(seconds=dice.randrange(1, 5000), microseconds=dice.choice((0, 7)))

    def either(value: Any, otherwise: Any = None) -> Any:
        return dice.choice((otherwise, value))

    reported = [status for status in ServiceStatus.values if status != ServiceStatus.PENDING]
    instance.status = dice.choices(reported, (10, 2, 2, 2, 2))[0]
    instance.health_url = either(f"{instance.url}/health", "")
    instance.weight = dice.choice((50, 100))
    instance.has_beaten = dice.random() < 0.8
    instance.last_heartbeat_at, instance.last_answer_at = either(ago(), ago()), either(ago())
    instance.expires_at = either(ago() + timedelta(seconds=4000))
    instance.answered_until = either(NOW + timedelta(seconds=400))
    instance.metadata, instance.zone = dice.choice(METADATA), either("eu", "")
    instance.probe_error = either("It is 'away'", "")
    if dice.random() < 0.2:
        instance.unhealthy_since = ago()
    if instance.status == ServiceStatus.OFFLINE:
        instance.expired_at = either(ago())
    if instance.status == ServiceStatus.ONLINE and dice.random() < 0.2:
        instance.suspected_at = ago()
    if instance.status == ServiceStatus.MAINTENANCE:
        instance.begin_maintenance(at=ago(), reason=either("why", ""), by="me")
    instance.save()


def any_beat(service: Service, dice: random.Random) -> bytes:
    instance = dice.choice(list(service.instances.all()))
    said: dict[str, Any] = dice.choice(
        (
            {},
            {"url": instance.url},
            {"endpoint": instance.url.upper()},
            {"instance_id": str(instance.pk)},
        )
    )
    if dice.random() < 0.3:
        said["status"] = dice.choice((instance.status, "online", "Degraded", None))
    if dice.random() < 0.3:
        said["metadata"] = dice.choice((*METADATA, None))
    return json.dumps(said).encode() if said else dice.choice((b"", b"{}", b" { } "))


def any_request(service: Service, dice: random.Random, key: str) -> WebRequest:
    reference = dice.choice((service.name, service.name.lower(), str(service.pk), service.pk.hex))
    path = dice.choice(
        (
            "/services/{}/heartbeat",
            "/api/registry/services/{}/heartbeat/",
            "/api/services/{}/heartbeat",
        )
    ).format(reference)
    return web_request(path, any_beat(service, dice), key=key)


@pytest.mark.parametrize("seed", range(4))
def test_gathered_beats_are_answered_as_each_by_the_view(seed: int, clock: list[datetime]) -> None:
    dice = random.Random(seed)
    keys = [
        factories.make_key(role, name=name)[1]
        for role, name in (("OPERATOR", "o"), ("SERVICE", "owner"))
    ]
    fleet = [make_any_service(number, dice) for number in range(10)]
    for key in keys:  # they are known from the first request on
        by_django(web_request("/services", key=key, method="GET"))
    gathered = 0
    for _ in range(3):
        clock[0] += timedelta(seconds=dice.randrange(1, 40), microseconds=dice.randrange(3))
        requests = [any_request(service, dice, dice.choice(keys)) for service in fleet]
        before = rows()
        answers = answer_heartbeats(requests)
        for request, answer in zip(requests, answers, strict=True):
            if answer is not None:
                gathered += 1
                # The view takes the same beat at the same time once more, which changes nothing.
                state = rows()
                assert told(by_django(request)) == told(with_common_headers(answer, "http"))
                assert rows() == state
        passed = {place for place, answer in enumerate(answers) if answer is None}
        unchanged = {fleet[place].pk for place in passed}
        assert {row for row in rows() if row[0] in unchanged} == {
            row for row in before if row[0] in unchanged
        }
        for place in passed:
            by_django(requests[place])
    assert gathered > 2


@pytest.mark.parametrize("seed", range(2))
def test_gathered_reads_are_answered_as_each_by_the_view(seed: int, clock: list[datetime]) -> None:
    dice = random.Random(seed)
    key, stranger = factories.make_key("VIEWER", name="v")[1], "si_00000000_none"
    fleet = [make_any_service(number, dice) for number in range(10)]
    by_django(web_request("/services", key=key, method="GET"))  # from now on it is known
    references = [each for service in fleet for each in (service.name.upper(), service.pk.hex)]
    requests = [
        web_request(f"{above}/services/{reference}{end}", key=key, method="GET")
        for reference in references
        for above, end in (("", ""), ("/api", "/"), ("/api/registry", ""))
    ]
    for request, answer in zip(requests, answer_service_reads(requests), strict=True):
        assert answer is not None
        assert told(by_django(request)) == told(with_common_headers(answer, "http"))
        assert request.environ[CONCERN_KEY]
    name = fleet[0].name
    for path, text in (
        (f"/services/{name}?x=1", key),
        (f"/api/api/services/{name}", key),
        ("/services/none", key),
        (f"/services/{name}", stranger),
    ):
        assert answer_service_reads([web_request(path, key=text, method="GET")]) == [None]


def told(answer: WebAnswer) -> tuple[Any, ...]:
    """All of an answer but what the front adds."""
    added = ("x-request-id", "content-length")
    headers = sorted((k.lower(), v) for k, v in answer.headers if k.lower() not in added)
    return answer.status, headers, answer.body


def rows() -> set[tuple[Any, ...]]:
    """All that is stored of instances."""
    instances = ServiceInstance.objects.values()
    return {(each["service_id"], json.dumps(each, default=str)) for each in instances}


URL = "http://planner"
BEAT = "/services/planner/heartbeat"


@pytest.fixture
def key() -> str:
    """The text of a key that is known already."""
    text = factories.make_key("SERVICE", name="owner")[1]
    assert by_django(web_request("/services", key=text, method="GET")).status == 200
    return text


@pytest.fixture
def planner() -> Service:
    return factories.make_service(
        "planner", urls=(URL,), owner="owner", instance={"has_beaten": True}
    )


def answered(*requests: WebRequest) -> list[int | None]:
    return [answer.status if answer else None for answer in answer_heartbeats(requests)]


def test_plain_beats_are_gathered_in_one_query_and_one_update(
    planner: Service, key: str, django_assert_num_queries: Any
) -> None:
    factories.make_service("other", urls=("http://other",), owner="owner")
    requests = [
        web_request(f"/services/{name}/heartbeat", key=key) for name in ("planner", "other")
    ]
    answer_heartbeats(requests)  # what is kept of services is kept from the first look on
    is_one = connection.vendor == "postgresql"
    with django_assert_num_queries(2 if is_one else 3):
        assert answered(*requests) == [200, 200]


ODD: dict[str, dict[str, Any]] = {
    "another method": {"method": "PUT"},
    "another path": {"path": "/registry/registry/services/planner/heartbeat"},
    "no key": {"key": ""},
    "another key": {"key": "si_00000000_x"},
    "a session": {"headers": {"cookie": "sessionid=x"}},
    "a form": {"body": b"a=1", "headers": {"content-type": "application/x-www-form-urlencoded"}},
    "what is not said to be JSON": {"body": b"{}", "headers": {"content-type": "text/plain"}},
    "a query": {"query": "a=1"},
    "broken JSON": {"body": b"{"},
    "a list": {"body": b"[]"},
    "an unknown field": {"body": b'{"x": 1}'},
    "an unknown status": {"body": b'{"status": "x"}'},
    "an unknown instance": {"body": b'{"url": "http://x"}'},
    "a text that is no URL": {"body": b'{"url": "x"}'},
    "an unknown service": {"path": "/services/x/heartbeat"},
    "the service of another": {"path": "/services/foreign/heartbeat"},
    "a service without instances": {"path": "/services/empty/heartbeat"},
    "news": {"body": b'{"status": "degraded"}'},
}


@pytest.mark.parametrize("odd", ODD)
def test_what_is_not_plain_is_left_to_the_view_alone(planner: Service, key: str, odd: str) -> None:
    factories.make_service("foreign", urls=("http://foreign",), owner="other")
    factories.make_service("empty", owner="owner")
    given = {"path": BEAT, "key": key, **ODD[odd]}
    before = rows()
    requests = [web_request(given.pop("path"), given.pop("body", b""), **given)]
    assert answered(*requests) == [None]
    assert rows() == before
    assert answered(*requests, web_request(BEAT, key=key)) == [None, 200]


def test_a_revoked_key_beats_no_more(planner: Service, key: str) -> None:
    assert answered(web_request(BEAT, key=key)) == [200]
    revoke_key(ApiKey.objects.get(name="owner"))
    assert answered(web_request(BEAT, key=key)) == [None]


def test_the_limit_of_a_key_counts_gathered_beats(planner: Service) -> None:
    text = factories.make_key("SERVICE", name="owner", requests_per_minute=4)[1]
    by_django(web_request("/services", key=text, method="GET"))
    answers = answer_heartbeats([web_request(BEAT, key=text) for _ in range(5)])
    assert [answer and answer.status for answer in answers] == [200, 200, 200, None, None]
    remaining = [dict(answer.headers)["RateLimit-Remaining"] for answer in answers if answer]
    assert remaining == ["2", "1", "0"]


def test_all_that_beat_together_see_the_service_as_it_is_then(planner: Service, key: str) -> None:
    factories.make_instance(planner, "http://second", has_beaten=True)
    bodies = [json.dumps({"url": url}).encode() for url in (URL, "http://second", URL)]
    answers = answer_heartbeats([web_request(BEAT, body, key=key) for body in bodies])
    shown = [json.loads(answer.body) for answer in answers if answer]
    assert shown[0] == shown[1] == shown[2]
    times = set(ServiceInstance.objects.values_list("last_heartbeat_at", flat=True))
    [time] = (DateTimeField().to_representation(at) for at in times if at)
    assert [each["last_heartbeat"] for each in shown[0]["instances"]] == [time, time]


def test_of_two_beats_of_an_instance_that_differ_one_is_gathered(
    planner: Service, key: str
) -> None:
    bodies = (b'{"metadata": {"load": 1}}', b'{"metadata": {"load": 2}}', b"")
    assert answered(*(web_request(BEAT, body, key=key) for body in bodies)) == [200, None, None]
    assert ServiceInstance.objects.get().metadata == {"load": 1}


def test_the_answer_tells_of_maintenance_that_was_set_before(planner: Service, key: str) -> None:
    assert answered(web_request(BEAT, key=key)) == [200]
    services.set_service_status(planner, "maintenance")
    [answer] = answer_heartbeats([web_request(BEAT, key=key)])
    assert answer is not None
    assert json.loads(answer.body)["status"] == "MAINTENANCE"


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks no rows.")
def test_a_beat_waits_for_nobody_who_changes_its_service(planner: Service, key: str) -> None:
    other = factories.make_service("other", urls=("http://other",), owner="owner")
    requests = [
        web_request(f"/services/{each.name}/heartbeat", key=key) for each in (planner, other)
    ]
    with transaction.atomic():
        ServiceInstance.objects.select_for_update().get(service=planner)
        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(closing(answered), *requests).result(PATIENCE) == [None, 200]


def closing(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        try:
            return function(*args)
        finally:
            connection.close()

    return call
