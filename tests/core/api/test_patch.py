"""A change changes what is given: in every field of every resource, over the API and the admin."""

from __future__ import annotations

import copy
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import get_resolver, reverse

from core.api.patches import CANNOT_BE_REMOVED
from core.json.merge_patch import MergePatch, merge_patch
from tests import factories
from tests.support.patch_cases import CASES, Case

pytestmark = [pytest.mark.django_db, pytest.mark.once]
by_name = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def make(api: Any, case: Case, **changes: Any) -> Any:
    body = {k: v for k, v in {**case.made, **changes}.items() if v is not ...}
    return api.post(case.path, body, format="json")


def made(api: Any, case: Case, **changes: Any) -> dict[str, Any]:
    answer = make(api, case, **changes)
    assert answer.status_code == 201, answer.content
    return answer.json()


def at(case: Case, row: dict[str, Any]) -> str:
    return f"{case.path}/{row['id']}"


def removed(api: Any, case: Case, row: dict[str, Any]) -> None:
    assert api.delete(at(case, row)).status_code == 204


def everyone() -> Any:
    from core.roles import SCOPES

    return factories.caller("OPERATOR", scopes=list(SCOPES))


def test_every_resource_that_can_be_changed_is_in_the_table() -> None:
    patterns = get_resolver("integration_site.api.urls").url_patterns
    views = {
        pattern.callback.cls
        for pattern in _leaves(patterns)
        if "partial_update" in getattr(pattern.callback, "actions", {}).values()
    }
    assert views == {case.view for case in CASES}


def _leaves(patterns: Any) -> Any:
    for pattern in patterns:
        if hasattr(pattern, "url_patterns"):
            yield from _leaves(pattern.url_patterns)
        else:
            yield pattern


@pytest.mark.parametrize("view", sorted({c.view.__name__ for c in CASES}))
def test_every_field_of_a_resource_is_in_the_table(view: str) -> None:
    cases = [case for case in CASES if case.view.__name__ == view]
    fields = set(cases[0].reader().fields)
    assert set().union(*(case.made for case in cases)) == fields
    assert set().union(*(case.reader.merged for case in cases)) == set().union(
        *(case.merged for case in cases)
    )
    for case in cases:
        assert case.made.keys() == case.other.keys()
        assert all(case.made[name] != case.other[name] for name in case.made)


@by_name
def test_a_change_of_one_field_leaves_the_others(case: Case) -> None:
    api = everyone()
    case.setup()
    for name, value in case.other.items():
        row = made(api, case)
        before = case.fields_in(row)
        along = case.along.get(name, {})
        answer = api.patch(at(case, row), {name: value, **along}, format="json")
        expected = copy.deepcopy(before)
        if name in case.fixed:
            assert (answer.status_code, [*answer.json()["errors"]]) == (400, [name]), name
        else:
            assert answer.status_code == 200, (name, answer.content)
            merge = merge_patch if name in case.merged else lambda _, value: value
            if name not in case.hidden:
                expected[name] = merge(before[name], value)
        assert case.fields_in(api.get(at(case, row)).json()) == expected, name
        removed(api, case, row)


@by_name
def test_a_change_that_changes_nothing_leaves_the_tag_that_others_hold(case: Case) -> None:
    api = everyone()
    case.setup()
    row = made(api, case)
    version = api.get(at(case, row))["ETag"].rsplit("-", 1)[0]
    values = {n: v for n, v in case.made.items() if n not in case.hidden}
    for same in ({}, *({name: value} for name, value in values.items())):
        answer = api.patch(at(case, row), same, format="json")
        assert answer.status_code == 200, (same, answer.content)
        assert answer["ETag"].rsplit("-", 1)[0] == version, same


@by_name
def test_null_makes_a_field_as_if_it_had_been_left_out(case: Case) -> None:
    """What a resource cannot be made without cannot be taken away either."""
    api = everyone()
    case.setup()
    for name in case.made:
        without = make(api, case, **{name: ...})
        if without.status_code == 201:
            removed(api, case, without.json())
        row = made(api, case)
        answer = api.patch(at(case, row), {name: None}, format="json")
        expected = case.fields_in(row)
        if name in case.reader.lasting or without.status_code != 201:
            assert answer.status_code == 400, (name, answer.content)
            is_of_another = name == "credential" or name in case.paired
            assert [*answer.json()["errors"]] == [name] or is_of_another
            if name in case.reader.lasting:
                assert answer.json()["errors"][name] == [CANNOT_BE_REMOVED]
        else:
            assert answer.status_code == 200, (name, answer.content)
            expected[name] = case.fields_in({**without.json()})[name]
        assert case.fields_in(api.get(at(case, row)).json()) == expected, name
        removed(api, case, row)


@by_name
def test_null_in_an_object_takes_one_member_away_where_it_is_merged(case: Case) -> None:
    api = everyone()
    case.setup()
    for name, value in case.made.items():
        if not isinstance(value, dict) or name in case.hidden:
            continue
        row = made(api, case)
        member = next(iter(value))
        answer = api.patch(at(case, row), {name: {member: None}}, format="json")
        if name in case.merged:
            assert answer.status_code == 200, (name, answer.content)
            assert member not in answer.json()[name]
            assert answer.json()[name].keys() == row[name].keys() - {member}
        elif answer.status_code == 200:
            assert answer.json()[name] == {member: None}, name
        removed(api, case, row)


@pytest.mark.parametrize("case", [c for c in CASES if c.admin], ids=lambda case: case.name)
def test_saving_a_page_of_the_admin_as_it_is_changes_nothing(case: Case, client: Client) -> None:
    api = everyone()
    case.setup()
    made_row = made(api, case)
    row = api.get(at(case, made_row)).json()
    client.force_login(User.objects.create_superuser("root"))
    page = reverse(f"admin:{case.admin}_change", args=(row["id"],))
    form = FormValues()
    form.feed(client.get(page).content.decode())
    answer = client.post(page, {**form.values, "_continue": "Save"})
    assert answer.status_code == 302, answer.context["errors"]
    after = api.get(at(case, row)).json()
    assert {**after, "updated_at": None} == {**row, "updated_at": None}


class FormValues(HTMLParser):
    """What a browser would send of a page's main form."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, Any] = {}
        self._select = self._area = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = dict(attrs)
        name = given.get("name") or ""
        if tag == "input" and given.get("type") not in ("submit", "file", "button"):
            if given.get("type") not in ("checkbox", "radio") or "checked" in given:
                on = "on" if given.get("type") == "checkbox" else ""
                self.values[name] = given.get("value") or on
        elif tag == "select":
            self._select = name
            if "multiple" in given:
                self.values[name] = []
        elif tag == "option" and self._select and "selected" in given:
            value = given.get("value") or ""
            chosen = self.values.get(self._select)
            self.values[self._select] = [*chosen, value] if isinstance(chosen, list) else value
        elif tag == "textarea":
            self._area = name
            self.values[name] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag in ("select", "textarea"):
            self._select = self._area = ""

    def handle_data(self, data: str) -> None:
        if self._area:  # its first line break belongs to the page
            text = self.values[self._area]
            self.values[self._area] = text + (data if text else data.removeprefix("\n"))


# --- The rule itself: the examples of RFC 7396, appendix A ---


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merging_is_that_of_rfc_7396(target: Any, patch: Any, result: Any) -> None:
    assert merge_patch(target, patch) == result


def test_a_member_that_is_replaced_keeps_its_nulls() -> None:
    patch = MergePatch({"a": {"x": None}, "b": None}, replaced=frozenset({"a", "b"}))
    assert patch.onto({"a": {"y": 1}, "b": 2, "c": 3}) == {"a": {"x": None}, "c": 3}
