"""Discovery over REST."""

from __future__ import annotations

import uuid
from concurrent.futures import Future
from typing import Any

import pytest
from rest_framework.test import APIClient

from registry.models import RegistryChange, Service
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def api() -> APIClient:
    return factories.caller("VIEWER")


@pytest.fixture
def fleet() -> None:
    factories.make_service(
        "planner", type="PLANNING_SYSTEM", tags=["x", "y"], metadata={"region": "eu", "size": 3},
        version="1.10", urls=("http://planner",), actions=("plan",), instance={"zone": "z"},
    )  # fmt: skip
    factories.make_service("sick", status="DEGRADED", tags=["y"], version="1.9")
    factories.make_service("gone", status="OFFLINE", tags=["x"])


def names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [item["name"] for item in answer.json()["items"]]


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize("end", ["", "/"])
def test_every_path_answers_with_and_without_prefix_and_slash(
    api: APIClient, fleet: None, prefix: str, end: str
) -> None:
    for path in ("services", "services/type/planning_system", "health/planner", "watch"):
        assert api.get(f"{prefix}/discovery/{path}{end}").status_code == 200
    assert api.post(f"{prefix}/discovery/services/search{end}").status_code == 200


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["planner", "sick"]),
        ("include_offline=true", ["gone", "planner", "sick"]),
        ("include_offline=0", ["planner", "sick"]),
        ("type=Planning_System", ["planner"]),
        ("service_type=planning_system,custom", ["planner", "sick"]),
        ("status=offline&status=degraded", ["gone", "sick"]),
        ("tag=y", ["planner", "sick"]),
        ("tag=y&tag=x", ["planner"]),
        ("action=plan", ["planner"]),
        ("zone=z", ["planner"]),
        ("name=SICK", ["sick"]),
        ("search=lan", ["planner"]),
        ("metadata.region=eu", ["planner"]),
        ("metadata.size=3", ["planner"]),
        ("metadata.size=4", []),
        ("minimum_version=1.10", ["planner"]),
        ("per_page=1&page=2", ["sick"]),
        ("page=9", []),
    ],
)
def test_services_are_found_by_query(
    api: APIClient, fleet: None, query: str, found: list[str]
) -> None:
    assert names(api.get(f"/discovery/services?{query}")) == found


@pytest.mark.parametrize(
    "text",
    ["Infinity", "-Infinity", "NaN", "1e999", "-1e999", "01", "1_000", "+1", ".5", "0x1",
     "True", "'a'", '{"a": 1', "[1,]", "\u0661", '"\\ud800"'],
)  # fmt: skip
def test_what_only_looks_like_json_is_looked_for_as_a_text(api: APIClient, text: str) -> None:
    factories.make_service("same", metadata={"codename": text})
    factories.make_service("other", metadata={"codename": 1})
    answer = api.get("/discovery/services", {"include_offline": "true", "metadata.codename": text})
    assert names(answer) == ["same"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1", ["float", "number", "text"]),
        ("1.0", ["float", "number"]),
        ("1e0", ["float", "number"]),
        ("true", ["boolean"]),
        ("0", []),
        ("null", ["null"]),
        ("12345678901234567890", ["large"]),
        ("1.5e300", ["larger"]),
    ],
)
def test_numbers_and_words_are_found_by_the_value_they_stand_for(
    api: APIClient, text: str, found: list[str]
) -> None:
    values = {
        "boolean": True, "no": False, "number": 1, "float": 1.0, "text": "1", "null": None,
        "large": 12345678901234567890, "larger": 1.5e300, "list": [1], "object": {"1": 1},
    }  # fmt: skip
    for name, value in values.items():
        factories.make_service(name, metadata={"x": value})
    answer = api.get("/discovery/services", {"include_offline": "true", "metadata.x": text})
    assert names(answer) == found


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("type=x", "type"),
        ("status=x", "status"),
        ("colour=red", "colour"),
        ("include_offline=maybe", "include_offline"),
        ("page=x", "page"),
        ("name=%00", "name"),
        ("metadata.a=%00", "metadata.a"),
        ("search=" + "x" * 201, "search"),
    ],
)
def test_queries_refuse_what_they_do_not_know(api: APIClient, query: str, path: str) -> None:
    answer = api.get(f"/discovery/services?{query}")
    assert answer.status_code == 400, answer.content
    assert path in answer.json()["errors"]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({}, ["planner", "sick"]),
        ({"types": ["planning_system"]}, ["planner"]),
        ({"type": "Planning_System"}, ["planner"]),
        ({"service_types": ["custom"], "statuses": ["offline", "active"]}, ["gone"]),
        ({"status": "degraded"}, ["sick"]),
        ({"tags": ["x", "y"]}, ["planner"]),
        ({"tags": {"any": ["x", "y"], "none": ["z"]}}, ["planner", "sick"]),
        ({"tags": {"all": ["y"], "none": ["x"]}}, ["sick"]),
        ({"metadata": {"size": 3}}, ["planner"]),
        ({"metadata": {"size": "3"}}, []),
        ({"min_version": "1.10"}, ["planner"]),
        ({"query": "pla"}, ["planner"]),
        ({"search": "lan"}, ["planner"]),
        ({"name": "SICK"}, ["sick"]),
        ({"tag": "y"}, ["planner", "sick"]),
        ({"action": "plan"}, ["planner"]),
        ({"zone": "z"}, ["planner"]),
        ({"minimum_version": "1.10"}, ["planner"]),
        ({"tags": {"all": ["y"], "any": ["x", "q"], "none": ["z"]}}, ["planner"]),
        ({"type": "CUSTOM", "tag": "y", "action": "plan"}, []),
        ({"include_offline": True, "per_page": 2}, ["gone", "planner"]),
        ({"include_offline": True, "per_page": 2, "page": 2}, ["sick"]),
        ({"page": 5}, []),
    ],
)
def test_services_are_found_by_search(
    api: APIClient, fleet: None, body: dict[str, Any], found: list[str]
) -> None:
    assert names(api.post("/discovery/services/search", body)) == found


def test_the_page_of_a_search_may_also_be_in_the_query(api: APIClient, fleet: None) -> None:
    answer = api.post("/discovery/services/search?per_page=1&page=2")
    assert names(answer) == ["sick"]
    assert (answer.json()["pages"], answer.json()["next"]) == (2, None)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"types": ["x"]}, "types[0]"),
        ({"types": "x"}, "types[0]"),
        ({"tags": {"some": ["x"]}}, "tags.some"),
        ({"tags": "x"}, "tags"),
        ({"metadata": {"a": {"b": 1}}}, "metadata.a"),
        ({"metadata": []}, "metadata"),
        ({"colour": 1}, "colour"),
        ({"page": 0}, "page"),
        ({"per_page": 10**30}, "per_page"),
    ],
)
def test_searches_refuse_what_they_do_not_know(
    api: APIClient, body: dict[str, Any], path: str
) -> None:
    answer = api.post("/discovery/services/search", body)
    assert answer.status_code == 400, answer.content
    assert path in answer.json()["errors"]


def test_one_service_of_a_type(api: APIClient, fleet: None) -> None:
    found = api.get("/discovery/services/type/planning_system").json()
    assert (found["name"], found["url"]) == ("planner", "http://planner")
    Service.objects.filter(name="planner").update(status="OFFLINE")
    down = api.get("/discovery/services/type/PLANNING_SYSTEM")
    assert (down.status_code, down.json()["code"]) == (503, "service_unavailable")
    assert down.json()["detail"] == (
        "No service of type PLANNING_SYSTEM is up: 'planner' is OFFLINE."
    )
    Service.objects.filter(name="planner").delete()
    missing = api.get("/discovery/services/type/PLANNING_SYSTEM")
    assert missing.status_code == 404
    assert missing.json()["detail"] == "No service of type PLANNING_SYSTEM found"
    wrong = api.get("/discovery/services/type/PLANING")
    assert wrong.status_code == 400
    assert "Use one of" in wrong.json()["detail"]


def test_health_by_id_or_name(api: APIClient, fleet: None) -> None:
    body = api.get("/discovery/health/planner").json()
    assert (body["service_name"], body["status"]) == ("planner", "ONLINE")
    assert api.get(f"/discovery/health/{body['service_id']}").json() == body
    assert api.get("/discovery/health/other").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/discovery/services",
        "/discovery/services/type/planning_system",
        "/discovery/health/planner",
        "/discovery/watch",
    ],
)
def test_what_did_not_change_is_not_sent_again(api: APIClient, fleet: None, path: str) -> None:
    first = api.get(path)
    again = api.get(path, HTTP_IF_NONE_MATCH=first["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    assert again["X-Request-ID"]
    api.get("/")
    Service.objects.filter(name="planner").update(status="DEGRADED")
    factories.make_instance(Service.objects.get(name="planner"), "http://new")
    RegistryChange.objects.create(
        service_id=uuid.uuid4(), service_name="x", kind="UPDATED", status="ONLINE"
    )
    changed = api.get(path, HTTP_IF_NONE_MATCH=first["ETag"])
    assert (changed.status_code, changed["ETag"] != first["ETag"]) == (200, True)
    assert api.head(path).status_code == 200


def note_change(name: str = "a") -> RegistryChange:
    service = factories.make_service()
    return RegistryChange.objects.create(
        service_id=service.pk, service_name=name, kind="UPDATED", status="ONLINE"
    )


def test_watching_returns_at_once_when_behind(api: APIClient) -> None:
    first, second = note_change("a"), note_change("b")
    body = api.get(f"/discovery/watch?index={first.index}&wait=60").json()
    assert (body["index"], body["changed"], body["complete"]) == (second.index, True, True)
    assert [change["service_name"] for change in body["changes"]] == ["b"]


def test_watching_without_an_index_answers_the_newest(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.discovery.database.MAX_CHANGES", 2)
    newest = [note_change() for _ in range(4)][-1]
    body = api.get("/discovery/watch").json()
    assert (body["index"], body["complete"], body["changes"]) == (newest.index, True, [])


def test_watching_waits_until_something_changes(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = note_change()
    waits: list[tuple[int, float]] = []

    def wait(index: int, *, seconds: float) -> Future[bool]:
        waits.append((index, seconds))
        note_change("late")
        future: Future[bool] = Future()
        future.set_result(True)
        return future

    monkeypatch.setattr("registry.api.discovery.when_changed", wait)
    body = api.get(f"/discovery/watch?index={here.index}&wait=60").json()
    assert [change["service_name"] for change in body["changes"]] == ["late"]
    assert waits == [(here.index, 60)]


def test_watching_ends_when_the_time_is_up(api: APIClient) -> None:
    here = note_change()
    body = api.get(f"/discovery/watch?index={here.index}&wait=0").json()
    assert (body["index"], body["changed"], body["changes"]) == (here.index, False, [])


def test_watching_says_when_changes_were_missed(api: APIClient) -> None:
    first, _, last = note_change(), note_change(), note_change()
    RegistryChange.objects.filter(index__lt=last.index).delete()
    assert not api.get(f"/discovery/watch?index={first.index}&wait=0").json()["complete"]
    assert not api.get(f"/discovery/watch?index={last.index + 99}").json()["complete"]


@pytest.mark.parametrize(
    "query", ["index=x", "index=-1", "wait=61", "wait=-1", f"index={2**63}", "index=1&wait=nan"]
)
def test_watching_refuses_wrong_numbers(api: APIClient, query: str) -> None:
    assert api.get(f"/discovery/watch?{query}").status_code == 400
