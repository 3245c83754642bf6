"""What a caller insists on is held against what is there, in every resource."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import pytest
from django.db import connections
from rest_framework.test import APIClient

from core.api.preconditions import read_tags
from core.api.viewsets import ResourceViewSet
from core.exceptions import ValidationFailed
from tests import factories
from tests.support.resources import (
    RESOURCES,
    Resource,
    caller_with_all_scopes,
    missing_resources,
)

each_resource = pytest.mark.parametrize("resource", RESOURCES, ids=lambda each: each.title)


@pytest.fixture
def api() -> APIClient:
    return caller_with_all_scopes()


def test_every_resource_that_can_be_changed_is_in_the_table() -> None:
    assert missing_resources() == set()


@pytest.mark.once
@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("*", None),
        (" * ", None),
        ('"a"', [(False, "a")]),
        ('"a", W/"b"', [(False, "a"), (True, "b")]),
        (' , "a,b" ,\t,"c",', [(False, "a,b"), (False, "c")]),
        ('""', [(False, "")]),
    ],
)
def test_lists_of_tags_are_read(text: str, tags: Any) -> None:
    assert read_tags(text, "If-Match") == tags


@pytest.mark.once
@pytest.mark.parametrize("text", ["a", '"a" "b"', 'w/"a"', '"a', '"a", *', '"a"b', '"a b"'])
def test_what_is_no_list_of_tags_is_refused(text: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        read_tags(text, "If-Match")
    assert list(refused.value.errors) == ["If-Match"]


@pytest.mark.django_db
@each_resource
def test_a_change_insists_on_what_was_read(api: APIClient, resource: Resource) -> None:
    made = resource.make(api)
    path = f"{resource.path}/{made['id']}"

    numbers = itertools.count()

    def patched(**headers: str) -> int:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return api.patch(path, {"name": f"other-{next(numbers)}"}, headers=given).status_code

    tag = api.get(path)["ETag"]
    assert patched(IF_MATCH=f'"x", {tag}') == 200
    assert patched(IF_MATCH=tag) == 412
    tag = api.get(path)["ETag"]
    assert patched(IF_MATCH=f"W/{tag}") == 412
    assert patched(IF_MATCH="nothing in quotes") == 400
    assert patched(IF_NONE_MATCH=f'"x", W/{tag}') == 412
    assert patched(IF_NONE_MATCH="*") == 412
    assert patched(IF_NONE_MATCH='"x"') == 200
    assert patched(IF_MATCH="*") == 200
    assert api.delete(path, HTTP_IF_MATCH=tag).status_code == 412
    assert api.delete(path, HTTP_IF_MATCH=f'"x",{api.get(path)["ETag"]}').status_code == 204


@pytest.mark.django_db
@each_resource
def test_a_read_of_what_the_caller_has_is_304(api: APIClient, resource: Resource) -> None:
    made = api.post(resource.path, {"name": "first", **resource.fields()})
    path = f"{resource.path}/{made.json()['id']}"
    read = api.get(path)
    unchanged = api.get(path, HTTP_IF_NONE_MATCH=f'"x", W/{read["ETag"]}')
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged["ETag"] == read["ETag"]
    api.patch(path, resource.change)
    assert api.get(path, HTTP_IF_NONE_MATCH=read["ETag"]).status_code == 200


@pytest.mark.django_db
def test_a_beat_is_seen_by_a_read_and_does_not_get_in_the_way_of_a_change() -> None:
    api = factories.caller()
    factories.make_service("planner", urls=("http://127.0.0.1:9",))
    path = "/registry/services/planner"
    tag = api.get(path)["ETag"]
    api.post(f"{path}/heartbeat", {"metadata": {"load": 1}})
    assert api.get(path, HTTP_IF_NONE_MATCH=tag).status_code == 200
    assert api.patch(path, {"version": "2"}, HTTP_IF_MATCH=tag).status_code == 200


@pytest.mark.django_db
@each_resource
@pytest.mark.parametrize("method", ["patch", "put", "delete"])
def test_a_change_that_comes_between_reading_and_locking_is_412(
    api: APIClient, resource: Resource, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"{resource.path}/{resource.make(api)['id']}"
    check = ResourceViewSet.check_precondition

    def check_then_lose_the_race(view: ResourceViewSet, row: Any) -> bool:
        insists = check(view, row)
        monkeypatch.setattr(ResourceViewSet, "check_precondition", check)
        assert api.patch(path, resource.change).status_code == 200
        return insists

    tag = api.get(path)["ETag"]
    monkeypatch.setattr(ResourceViewSet, "check_precondition", check_then_lose_the_race)
    answer = getattr(api, method)(path, resource.change, HTTP_IF_MATCH=tag)
    assert (answer.status_code, answer.json()["code"]) == (412, "precondition_failed")
    assert api.get(path).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_of_many_changes_with_one_tag_one_is_done_and_the_others_are_412(api: APIClient) -> None:
    path = f"{RESOURCES[0].path}/{RESOURCES[0].make(api)['id']}"
    tag = api.get(path)["ETag"]
    start, answers = threading.Barrier(8), []

    def change(number: int) -> None:
        start.wait()
        answer = api.patch(path, {"version": str(number)}, HTTP_IF_MATCH=tag)
        answers.append(answer.status_code)
        connections.close_all()

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, *[412] * 7]
