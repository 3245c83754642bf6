"""A reference has one meaning, in every resource: what reads as an id is one, and never a name."""

from __future__ import annotations

from importlib import import_module
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.exceptions import ValidationError
from rest_framework.test import APIClient

from core.db.names import validate_name
from core.identifiers import read_id
from core.models import ApiKey
from registry.models import Integration, Service
from tests import factories
from tests.support.migrations import tables_before
from tests.support.resources import (
    RESOURCES,
    Resource,
    caller_with_all_scopes,
    missing_resources,
)
from workflows.models import Workflow
from workflows.services import create_workflow

each_resource = pytest.mark.parametrize("resource", RESOURCES, ids=lambda each: each.title)


def forms_of(key: UUID) -> list[str]:
    return [
        str(key),
        key.hex,
        str(key).upper(),
        f"{{{key}}}",
        key.urn,
        f"{key.hex[:3]}-{key.hex[3:]}",
    ]


@pytest.fixture
def api() -> APIClient:
    return caller_with_all_scopes()


def named_like(resource: Resource, made: dict[str, Any], name: str) -> None:
    """Call a row so, past every check, as one from before may be called."""
    resource.model._default_manager.filter(pk=made["id"]).update(name=name)


def test_every_resource_is_in_the_table() -> None:
    assert missing_resources() == set()


@pytest.mark.once
def test_ids_in_any_form() -> None:
    key = uuid4()
    assert {read_id(form) for form in forms_of(key)} == {key}
    for text in ("", "planner", f"x-{key}", f"{key}0", "\x00" * 32, None, 7):
        assert read_id(text) is None


@pytest.mark.once
@pytest.mark.parametrize("name", ["a", "A b", "a-1_2.x", "f" * 31, "f" * 33, "service-" + "f" * 32])
def test_names(name: str) -> None:
    validate_name(name)


@pytest.mark.once
@pytest.mark.parametrize("name", ["", " a", "a ", "-a", "a/b", "ä", "f" * 32, str(UUID(int=7))])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ValidationError):
        validate_name(name)


@pytest.mark.django_db
@each_resource
def test_an_id_in_any_form_finds_the_row_that_has_it(api: APIClient, resource: Resource) -> None:
    first, second = resource.make(api), resource.make(api, "second")
    for form in forms_of(UUID(first["id"])):
        named_like(resource, second, form)
        path = f"{resource.path}/{form}"
        assert api.get(path).json()["id"] == first["id"], form
        changed = api.patch(path, resource.change)
        assert (changed.status_code, changed.json()["id"]) == (200, first["id"]), form
    named_like(resource, second, str(uuid4()))
    row = resource.model._default_manager.get(pk=second["id"])
    assert api.get(f"{resource.path}/{row.name}").status_code == 404  # type: ignore[attr-defined]
    assert api.delete(f"{resource.path}/{row.name}").status_code == 404  # type: ignore[attr-defined]
    named_like(resource, second, first["id"])
    assert api.delete(f"{resource.path}/{first['id']}").status_code == 204
    assert api.get(f"{resource.path}/{first['id']}").status_code == 404


@pytest.mark.django_db
@each_resource
def test_a_name_that_reads_as_an_id_is_refused(api: APIClient, resource: Resource) -> None:
    first = resource.make(api)
    for name in (first["id"], UUID(first["id"]).hex, str(uuid4())):
        made = api.post(resource.path, {"name": name, **resource.fields()})
        renamed = api.patch(f"{resource.path}/{first['id']}", {"name": name})
        for answer in (made, renamed):
            assert answer.status_code == 400, answer.content
            assert "reads as an id" in answer.json()["errors"]["name"][0]
        row = resource.model._default_manager.get(pk=first["id"])
        row.name = name  # type: ignore[attr-defined]
        with pytest.raises(ValidationError, match="reads as an id"):
            row.full_clean()


# --- References in what runs ---


@pytest.mark.django_db
def test_every_path_to_a_workflow_reaches_the_one_with_the_id(api: APIClient) -> None:
    first, second = factories.make_workflow("first"), factories.make_workflow("second")
    Workflow.objects.filter(pk=second.pk).update(name=str(first.pk))
    started = api.post(f"/workflows/{first.pk}/execute", {"input_data": {"text": "a"}})
    assert started.json()["workflow_id"] == str(first.pk)
    made = api.post("/schedules", {"name": "s", "workflow": str(first.pk), "cron": "0 9 * * *"})
    assert made.json()["workflow_id"] == str(first.pk)
    found = api.get(f"/executions?workflow={first.pk}").json()["items"]
    assert [each["workflow_id"] for each in found] == [str(first.pk)]
    assert api.get(f"/executions?workflow={second.pk}").json()["items"] == []


@pytest.mark.django_db
def test_rows_from_before_are_renamed_and_what_refers_to_them_follows(
    caplog: pytest.LogCaptureFixture,
) -> None:
    called, key = str(uuid4()), str(uuid4())
    service = factories.make_service("bank", actions=("act",), owner=key)
    steps = [
        {"id": "a", "service": "bank", "action": "act", "next": "b"},
        {"id": "b", "type": "WORKFLOW", "workflow": "child", "next": None},
    ]
    factories.make_workflow("child")
    parent = create_workflow({"name": "parent"}, {"steps": steps})
    Integration.objects.create(name="pay", target_kind="SERVICE", target="bank", action="act")
    child_id = str(Workflow.objects.get(name="child").pk)
    Service.objects.filter(pk=service.pk).update(name=called)
    Integration.objects.update(target=called)
    factories.make_service(f"service-{called}")  # the name is taken
    version = parent.current_version
    assert version is not None
    version.steps[0]["service"], version.steps[1]["workflow"] = called, child_id
    version.save()
    factories.make_key(name="other")
    ApiKey.objects.update(name=key)
    apps = tables_before("workflows", "0014_names_are_no_ids")
    import_module("registry.migrations.0014_names_are_no_ids").rename_rows(apps, None)
    import_module("workflows.migrations.0014_names_are_no_ids").follow_names(apps, None)
    service.refresh_from_db()
    version.refresh_from_db()
    assert (service.name, service.owner) == (f"service-{called}-2", f"key-{key}")
    assert service.name in caplog.text
    assert Integration.objects.get().target == service.name
    assert [version.steps[0]["service"], version.steps[1]["workflow"]] == [service.name, child_id]
