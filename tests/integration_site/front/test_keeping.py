"""Kept answers are those of Django to the byte, whatever is asked for, and end with changes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.wsgi import get_wsgi_application
from django.db.models import Q

from core.api.known_keys import known_keys
from core.api.pagination import PageNumberPagination
from integration_site.front.application import Front
from integration_site.front.django_pool import DjangoPool
from integration_site.front.shortcuts import shortcuts_over
from registry import services
from registry.api import discovery
from registry.api.filters import SELECTING as FILTER_FIELDS
from registry.api.filters import ServiceFilter
from registry.api.service_serializers import SearchInput
from registry.api.services import ServiceViewSet
from registry.discovery.base import ACTIONS, INSTANCES, Criteria
from registry.discovery.base import SELECTING as CRITERIA_FIELDS
from registry.models import Service
from tests.support.asgi import Answered, ask
from tests.support.fronts import ID, TYPE, CountedDjango, ask_anew, bearer

pytestmark = pytest.mark.django_db(transaction=True)

# What each filter is tried with; a filter that is missing here fails the test.
LISTED: dict[str, list[Any]] = {
    "status": ["online", "ONLINE,OFFLINE", "nonsense"],
    "type": [TYPE.lower(), "CUSTOM"],
    "name": ["BILLING", "none"],
    "service_type": [TYPE],
    "tag": ["paid", "missing"],
    "capability": ["paid"],
    "action": ["charge"],
    "zone": ["a"],
    "search": ["ill", "\x00"],
    "ordering": ["-name", "type,-name", "wrong"],
    "page": [1, 2, 99, 0],
    "per_page": [1, 20, 1000, "x"],
    "format": ["json"],
}
DISCOVERED: dict[str, list[Any]] = {
    **{name: LISTED[name] for name in LISTED if name not in ("ordering", "format")},
    "minimum_version": ["1.10", "0"],
    "include_offline": ["true", "false", "maybe"],
    "metadata.<key>": ["gold"],
}
SEARCHED: dict[str, list[Any]] = {
    "types": [[TYPE], "custom"],
    "statuses": [["OFFLINE"]],
    "tags": [["paid"], {"any": ["paid", "x"], "none": ["y"]}],
    "metadata": [{"plan": "gold"}],
    "name": ["billing"],
    "action": ["charge"],
    "zone": ["a"],
    "search": ["ill"],
    "minimum_version": ["1.10"],
    "include_offline": [True],
    "page": [2, 0],
    "per_page": [1],
}
PATHS: dict[str, list[str]] = {
    "/services": [
        "/registry/services", "/api/services/", "/services?name=&wrong=1",
        *(f"/registry/services?{urlencode({n: v})}" for n in LISTED for v in LISTED[n]),
        "/registry/services?per_page=1&page=2&status=online", "/services?tag=paid&tag=free",
    ],
    "/discovery/services": [
        "/discovery/services", "/api/discovery/services/", "/discovery/services?wrong=1",
        *(
            f"/discovery/services?{urlencode({n.replace('<key>', 'plan'): v})}"
            for n in DISCOVERED for v in DISCOVERED[n]
        ),
        "/discovery/services?tag=paid&tag=free", "/discovery/services?type=CUSTOM&type=API_GATEWAY",
    ],
    "/services/{id}": [
        "/registry/services/billing", "/services/BILLING", f"/api/registry/services/{ID}",
        "/services/none", "/services/a%20b",
    ],
    "/services/{id}/instances": [
        "/services/billing/instances", "/services/billing/instances?per_page=1&page=2",
        "/services/none/instances", "/services/billing/instances?zone=a",
    ],
    "/services/{id}/health": [
        "/services/billing/health", "/services/none/health", "/services/billing/health?probe=false",
    ],
    "/discovery/health/{id}": ["/discovery/health/billing", f"/discovery/health/{ID}"],
}  # fmt: skip
NOT_KEPT = ["/services/billing/health?probe=false", "/services/billing/health?%70robe=0"]


async def kept_and_fresh(front: Front, path: str, **sent: Any) -> tuple[Answered, Answered]:
    await ask(front, path, **sent)
    kept = await ask(front, path, **sent)
    return kept, await ask_anew(front, path, **sent)


def change_status() -> None:
    services.set_service_status(Service.objects.get(name="billing"), "DEGRADED", actor="test")


def change_fields() -> None:
    services.register_service(
        services.Registration(
            name="shop", fields={"tags": ["paid"], "metadata": {"plan": "gold"}, "type": TYPE}
        )
    )


def leave() -> None:
    services.unregister_service(Service.objects.get(name="billing"))


def test_every_filter_is_tried() -> None:
    pages = PageNumberPagination.query_names
    always = {"format"}
    assert set(LISTED) == {*ServiceFilter.base_filters, *pages, *always, "ordering"}
    assert ServiceViewSet.ordering_fields
    names = {name for name in discovery.QUERY_NAMES if not name.startswith("metadata.")}
    assert set(DISCOVERED) == {*names, "metadata.<key>"}
    assert set(SEARCHED) == set(SearchInput().fields)
    kept = shortcuts_over(DjangoPool(get_wsgi_application(), threads=1, share=1))
    assert {path for path in kept if path in PATHS or "services" in path} >= set(PATHS)


@pytest.mark.parametrize("change", [None, change_fields, leave])
async def test_kept_answers_are_the_fresh_ones(
    front: Front, fleet: None, change: Callable[[], None] | None, in_thread: Any
) -> None:
    viewer, operator = await in_thread(lambda: (bearer("VIEWER"), bearer("OPERATOR")))
    requests = [(path, viewer) for paths in PATHS.values() for path in paths]
    requests += [(paths[0], operator) for paths in PATHS.values()]
    for path, headers in requests:
        await ask(front, path, **headers)
    if change is not None:
        await in_thread(change)
    for path, headers in requests:
        kept, fresh = await kept_and_fresh(front, path, **headers)
        assert kept == fresh, path


@pytest.mark.parametrize("change", [None, change_status])
async def test_kept_searches_are_the_fresh_ones(
    front: Front, fleet: None, change: Callable[[], None] | None, in_thread: Any
) -> None:
    headers = await in_thread(bearer)
    bodies = [{}, {"wrong": 1}, *({n: v} for n in SEARCHED for v in SEARCHED[n])]
    for body in bodies:
        sent = {"method": "POST", "body": json.dumps(body).encode(), **headers}
        await ask(front, "/discovery/services/search", **sent)
        if change is not None:
            await in_thread(change)
        kept, fresh = await kept_and_fresh(front, "/discovery/services/search", **sent)
        assert kept == fresh, body


async def test_what_is_kept_is_not_asked_for_again(
    front: Front, django: CountedDjango, fleet: None, in_thread: Any
) -> None:
    one, other = await in_thread(lambda: (bearer(), bearer()))
    for headers in (one, other):  # by Django, which looks them up
        await ask(front, "/services/none", **headers)
    django.asked = 0
    for path in ("/services?page=1&per_page=2", "/services?per_page=2&page=1"):
        for headers in (one, other):
            assert (await ask(front, path, **headers)).status == 200
    assert django.asked == 1
    await ask(front, "/services?per_page=3", **one)
    await in_thread(change_fields)  # of one that is on the second of these pages alone
    await ask(front, "/services?page=1&per_page=2", **one)
    assert django.asked == 2
    await ask(front, "/services?per_page=3", **one)
    assert django.asked == 3


def changing(**fields: Any) -> Callable[[], Any]:
    """A change of the service that no list of `MOVED` begins with."""
    name = fields.pop("name", "shop")
    given = {"url": fields.pop("url", None), "actions": fields.pop("actions", None)}
    return lambda: services.update_service(
        Service.objects.get(url_of_it), services.Registration(name=name, fields=fields, **given)
    )


url_of_it = Q(instances__url="http://c.test")
# By each field that selects or orders: a change that moves a service into a list, or within it.
MOVED: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "type": (changing(type=TYPE), ["/services?type=CUSTOM", f"/discovery/services?type={TYPE}"]),
    "description": (
        changing(description="of old books"),
        ["/services?search=books", "/discovery/services?search=books"],
    ),
    "version": (changing(version="2"), ["/discovery/services?minimum_version=1.11"]),
    "tags": (changing(tags=["new"]), ["/services?tag=new", "/discovery/services?tag=new"]),
    "metadata": (changing(metadata={"plan": "gold"}), ["/discovery/services?metadata.plan=gold"]),
    ACTIONS: (
        changing(actions=[{"name": "sell"}]),
        ["/services?action=sell", "/discovery/services?action=sell"],
    ),
    INSTANCES: (
        lambda: services.add_instance(
            Service.objects.get(url_of_it), url="http://d.test", fields={"zone": "far"}
        ),
        ["/services?zone=far", "/discovery/services?zone=far"],
    ),
    "name": (
        changing(name="a-shop"),
        ["/services?per_page=1", "/discovery/services?per_page=1", "/services?name=a-shop"],
    ),
    "updated_at": (changing(), ["/services?ordering=-updated_at&per_page=1"]),
    "status": (
        lambda: services.set_service_status(
            Service.objects.get(url_of_it), "OFFLINE", actor="test"
        ),
        ["/discovery/services?status=offline", "/discovery/services", "/services?status=OFFLINE"],
    ),
    "created_at": (
        lambda: services.register_service(services.Registration(name="zoo", url="http://z.test")),
        ["/services?ordering=-created_at&per_page=1", "/discovery/services"],
    ),
}


def test_it_is_known_by_what_is_selected_and_ordered() -> None:
    assert set(CRITERIA_FIELDS) == {field.name for field in dataclasses.fields(Criteria)}
    assert set(FILTER_FIELDS) == set(ServiceFilter.base_filters)
    selecting = {*CRITERIA_FIELDS.values(), *FILTER_FIELDS.values()}
    fields = {each for names in selecting for each in names} | set(ServiceViewSet.ordering_fields)
    assert fields == set(MOVED)


async def test_a_list_changes_with_what_moves_into_it(
    front: Front, fleet: None, in_thread: Any
) -> None:
    headers = await in_thread(bearer)
    for field, (change, paths) in MOVED.items():
        before = [(await ask(front, path, **headers)).body for path in paths]
        await in_thread(change)
        kept = [(await ask(front, path, **headers)).body for path in paths]
        assert kept == [(await ask_anew(front, path, **headers)).body for path in paths]
        changed = field == "updated_at" or all(a != b for a, b in zip(before, kept, strict=True))
        assert changed, field


@pytest.mark.parametrize("path", ["/services/billing", "/discovery/services"])
async def test_who_has_the_answer_is_told_so(
    front: Front, django: CountedDjango, fleet: None, path: str, in_thread: Any
) -> None:
    headers = await in_thread(bearer)
    first = await ask(front, path, **headers)
    has = {**headers, "if_none_match": first["etag"]}
    kept, fresh = await kept_and_fresh(front, path, **has)
    assert (kept.status, kept.body) == (304, b"")
    assert kept == fresh
    django.asked = 0
    await ask(front, path, **has)
    assert django.asked == 0
    await in_thread(change_status)
    assert (await ask(front, path, **has)).status == 200


@pytest.mark.parametrize(
    "unusual",
    [
        {"cookie": "sessionid=x"},
        {"cache_control": "no-cache"},
        {"cache_control": "max-age=0, no-store"},
        {"pragma": "no-cache"},
        {"if_match": '"x"'},
        {"method": "HEAD"},
        {"body": b"{}"},
    ],
)
async def test_what_is_unusual_is_for_django(
    front: Front, django: CountedDjango, fleet: None, unusual: dict[str, Any], in_thread: Any
) -> None:
    headers = await in_thread(bearer)
    await kept_and_fresh(front, "/services/billing", **headers)
    django.asked = 0
    await ask(front, "/services/billing", **headers, **unusual)
    assert django.asked == 1


async def test_callers_see_what_they_may(front: Front, fleet: None, in_thread: Any) -> None:
    viewer, other = await in_thread(lambda: (bearer(), bearer(scopes=["workflows:read"])))
    for _ in range(2):
        assert (await ask(front, "/services/billing", **viewer)).status == 200
        assert (await ask(front, "/services/billing", **other)).status == 403
        assert (await ask(front, "/services/billing")).status == 401
        assert (await ask(front, "/services/billing", authorization="Bearer x")).status == 401
    known_keys().forget()
    assert (await ask(front, "/services/billing", **other)).status == 403


async def test_links_lead_where_was_asked(front: Front, fleet: None, in_thread: Any) -> None:
    headers = await in_thread(bearer)
    for host, path in (("localhost", "/services"), ("127.0.0.1", "/api/registry/services")):
        for _ in range(2):
            answer = await ask(front, f"{path}?per_page=1", **headers, host=host)
            following = f"http://{host}{path}?page=2&per_page=1"
            assert json.loads(answer.body)["next"] == following


async def test_limits_of_a_key_hold_for_kept_answers_too(
    front: Front, django: CountedDjango, fleet: None, in_thread: Any
) -> None:
    headers = await in_thread(lambda: bearer(requests_per_minute=4))
    left = []
    for _ in range(4):
        answer = await ask(front, "/services/billing", **headers)
        left.append((answer.status, answer["ratelimit-remaining"]))
    assert left == [(200, "3"), (200, "2"), (200, "1"), (200, "0")]
    refused = await ask(front, "/services/billing", **headers)
    assert (refused.status, refused["ratelimit-remaining"]) == (429, "0")


async def test_request_ids_are_of_the_request(front: Front, fleet: None, in_thread: Any) -> None:
    headers = await in_thread(bearer)
    for request_id in ("a", "b"):
        answer = await ask(front, "/services/billing", **headers, x_request_id=request_id)
        assert answer["x-request-id"] == request_id


async def test_an_opened_circuit_is_seen_at_once(front: Front, fleet: None, in_thread: Any) -> None:
    headers = await in_thread(lambda: bearer("OPERATOR"))
    before = json.loads((await ask(front, "/services/billing/health", **headers)).body)
    assert (await ask(front, "/services/billing/health", **headers)).status == 200
    path = f"/health/circuit-breakers/{before['instances'][0]['id']}/open"
    opened = await ask(front, path, method="POST", body=b'{"reason": "test"}', **headers)
    assert opened.status == 200, opened.body
    after = json.loads((await ask(front, "/services/billing/health", **headers)).body)
    assert after["instances"][0]["circuit"]["state"] == "FORCED_OPEN"
