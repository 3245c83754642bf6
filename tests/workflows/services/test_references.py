"""Every reference between resources: a rename carries it along, a deletion is refused with it."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, NamedTuple

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db.models import CASCADE, PROTECT
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from core.db.models import NamedModel
from model_orchestration.models import Model
from monitoring.slos.lifecycle import create_slo
from registry import services as registry
from registry.integrations.lifecycle import create_integration
from registry.models import Connection, Credential, Integration, Service
from registry.services import Registration
from tests import factories
from tests.support.checks import make_check
from tests.support.connections import make_connection
from tests.support.credentials import make_credential
from tests.support.engine import ScriptedClient, ended, running_engine, start
from tests.support.waiting import until
from workflows import services
from workflows.definition import NAMED_KINDS
from workflows.definition_cache import definition_of
from workflows.models import Workflow, WorkflowVersion
from workflows.services import Start
from workflows.services.schedules.lifecycle import create_schedule
from workflows.services.webhooks.lifecycle import create_webhook

pytestmark = pytest.mark.django_db

PATHS = {
    Service: "/registry/services",
    Connection: "/registry/connections",
    Integration: "/registry/integrations",
    Workflow: "/workflows",
    Credential: "/registry/credentials",
}
WORK: list[dict[str, Any]] = [{"id": "t", "type": "TRANSFORM", "output": {}, "next": None}]


def service() -> Service:
    return factories.make_service("planner", actions=("plan",))


def connection() -> Connection:
    return make_connection(name="shop")


def integration() -> Integration:
    factories.make_service("other", actions=("plan",))
    aim = {"service": "other", "action": "plan"}
    return create_integration({"name": "chat", "target": aim, "type": "CUSTOM", "status": "ACTIVE"})


def workflow() -> Workflow:
    return services.create_workflow({"name": "inner"}, {"steps": WORK})


def credential() -> Credential:
    return make_credential(name="login", allowed_origins=["http://127.0.0.1:9"])


def calling(kind: str, name: str) -> dict[str, Any]:
    action = {"service": "plan", "connection": "GET /"}.get(kind)
    typed = {"type": "WORKFLOW"} if kind == "workflow" else {}
    return {kind: name, **typed, **({"action": action} if action else {})}


def a_workflow(steps: list[dict[str, Any]], name: str) -> Workflow:
    return services.create_workflow({"name": name}, {"steps": steps})


def in_a_step(kind: str) -> Callable[[Any], Any]:
    return lambda row: a_workflow(
        [{"id": "a", **calling(kind, row.name), "next": None}], "refers-to-it"
    )


def in_a_branch(kind: str) -> Callable[[Any], Any]:
    def make(row: Any) -> Workflow:
        inner = [{"id": "a", **calling(kind, row.name.upper()), "next": None}]
        each = {"id": "m", "type": "MAP", "over": "$.input.list", "steps": inner, "next": None}
        both = {"id": "p", "type": "PARALLEL", "branches": [[each]], "next": None}
        return a_workflow([both], "refers-to-it")

    return make


def in_an_undoing(row: Any) -> Workflow:
    other = factories.make_service("booking", actions=("book",))
    undo = {"service": row.name, "action": "plan"}
    step = {"id": "a", "service": other.name, "action": "book", "compensate": undo, "next": None}
    return a_workflow([step], "refers-to-it")


def of_an_integration(row: Any) -> Integration:
    aim = {"service": row.name, "action": "plan"}
    return create_integration(
        {"name": "refers-to-it", "target": aim, "type": "CUSTOM", "status": "ACTIVE"}
    )


def of_an_integration_by_connection(row: Any) -> Integration:
    aim = {"connection": row.name, "method": "GET", "path": "/"}
    return create_integration(
        {"name": "refers-to-it", "target": aim, "type": "CUSTOM", "status": "ACTIVE"}
    )


def of_a_schedule(row: Any) -> Any:
    return create_schedule({"name": "refers-to-it", "workflow": row.name, "cron": "0 0 1 1 *"})


def of_a_webhook(row: Any) -> Any:
    key = make_credential("HMAC_SIGNATURE", name="sign")
    return create_webhook({"name": "refers-to-it", "workflow": row.name, "credential": key.name})


def of_a_signed_webhook(row: Any) -> Any:
    return create_webhook(
        {"name": "refers-to-it", "workflow": workflow().name, "credential": row.name}
    )


def of_a_model(row: Any) -> Any:
    return Model.objects.create(name="refers-to-it", provider="CUSTOM", connection=row)


class Reference(NamedTuple):
    """`column` is the field that refers; '' for a name in a document."""

    column: str
    used: Callable[[], Any]
    use: Callable[[Any], Any]
    # What is deleted all the same with force=true.
    forced: bool = True


MAKE: dict[str, Callable[[], Any]] = {
    "service": service,
    "connection": connection,
    "integration": integration,
    "workflow": workflow,
}
REFERENCES = [
    *(Reference("", MAKE[kind], in_a_step(kind)) for kind in NAMED_KINDS),
    *(Reference("", MAKE[kind], in_a_branch(kind)) for kind in NAMED_KINDS),
    Reference("", service, in_an_undoing),
    Reference("integration.target", service, of_an_integration),
    Reference("integration.connection", connection, of_an_integration_by_connection, False),
    Reference("model.connection", connection, of_a_model, False),
    Reference("workflowschedule.workflow", workflow, of_a_schedule),
    Reference("webhook.workflow", workflow, of_a_webhook),
]
# Never deleted while it is used, whatever is asked for: tests of credentials show it.
OF_CREDENTIALS = {
    "service.credential", "connection.credential", "webhook.credential", "webhook.old_credential",
}  # fmt: skip

PARTS: dict[str, Callable[[Service], Any]] = {
    "healthcheck.service": lambda row: make_check("refers-to-it", service=row, url=""),
    "slo.service": lambda row: create_slo({"name": "refers-to-it", "service": row}, actor="ann"),
}


def all_columns() -> Iterator[str]:
    for model in PATHS:
        for relation in model._meta.related_objects:
            if relation.on_delete in (CASCADE, PROTECT) and issubclass(
                relation.related_model, NamedModel
            ):
                yield f"{relation.related_model._meta.model_name}.{relation.field.name}"


def test_every_reference_is_among_those_that_are_tested() -> None:
    tested = {reference.column for reference in REFERENCES} | OF_CREDENTIALS | PARTS.keys()
    assert set(all_columns()) <= tested


def test_whatever_a_step_names_is_among_those_that_are_tested() -> None:
    assert set(MAKE) == set(NAMED_KINDS)


def path_of(row: Any) -> str:
    return f"{PATHS[type(row)]}/{row.pk}"


@pytest.mark.parametrize("column", PARTS)
def test_what_is_a_part_of_it_goes_with_it(column: str) -> None:
    row = service()
    part = PARTS[column](row)
    assert factories.caller().delete(path_of(row)).status_code == 204
    assert not type(part).objects.filter(pk=part.pk).exists()


@pytest.mark.parametrize("reference", REFERENCES)
def test_what_is_used_is_not_deleted_without_force(reference: Reference) -> None:
    row = reference.used()
    user = reference.use(row)
    api = factories.caller()
    refused = api.delete(path_of(row))
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    title = f"{user._meta.verbose_name} {user}"
    assert refused.json()["used_by"] == [title]
    assert title in refused.json()["detail"]
    forced = api.delete(f"{path_of(row)}?force=true")
    assert forced.status_code == (204 if reference.forced else 409), forced.content
    assert type(row).objects.filter(pk=row.pk).exists() is not reference.forced


@pytest.mark.parametrize("reference", REFERENCES)
def test_page_says_what_uses_what_was_to_be_deleted(
    reference: Reference, client: Client, settings: Any
) -> None:
    client.force_login(User.objects.create_superuser("root"))
    row = reference.used()
    user = reference.use(row)
    meta = row._meta
    url = reverse(f"admin:{meta.app_label}_{meta.model_name}_delete", args=[row.pk])
    answer = client.post(url, {"post": "yes"}, follow=True)
    assert answer.status_code == 200
    assert str(user) in html.unescape(answer.content.decode())
    assert type(row).objects.filter(pk=row.pk).exists()


def caller_for(used: Callable[[], Any]) -> APIClient:
    return factories.caller("SECRET_ADMIN" if used is credential else "OPERATOR")


@pytest.mark.parametrize("used", [*MAKE.values(), credential])
def test_what_nothing_uses_is_deleted(used: Callable[[], Any]) -> None:
    assert caller_for(used).delete(path_of(used())).status_code == 204


@pytest.mark.parametrize("text", ["yes", ""])
def test_force_is_true_or_false(text: str) -> None:
    answer = factories.caller().delete(f"{path_of(service())}?force={text}")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["force"])


def names_of(user: Any, kind: str) -> set[str]:
    """What a definition names of that kind, and the ids that stand behind it."""
    user.refresh_from_db()
    definition = definition_of(user.current_version)
    found: set[str] = set()
    for step in definition.steps.values():
        targets = [step.target, step.compensate.target if step.compensate else None]
        found |= {f"{t.name}={t.id}" for t in targets if t is not None and t.kind == kind}
        if kind == "workflow" and step.workflow:
            found.add(f"{step.workflow}={step.workflow_id}")
    return found


@pytest.mark.parametrize("reference", REFERENCES)
def test_a_rename_carries_its_references_along(reference: Reference) -> None:
    row = reference.used()
    user = reference.use(row)
    kind = next(kind for kind, make in MAKE.items() if make is reference.used)
    change = factories.caller().patch(path_of(row), {"name": "renamed"})
    assert change.status_code == 200, change.content
    if isinstance(user, Workflow):
        assert names_of(user, kind) >= {f"renamed={row.pk}"}
        document = WorkflowVersion.objects.get(workflow=user).document
        assert services.validate_document(document).valid
    elif reference.column == "integration.target":
        assert Integration.objects.get(pk=user.pk).target == "renamed"
    else:
        user.refresh_from_db()
        assert getattr(user, reference.column.partition(".")[2]).name == "renamed"


# --- While executions are under way ---


@pytest.fixture
def parent(db: Any) -> Workflow:
    workflow()
    wait = {"id": "go", "type": "EVENT", "event": "go", "next": "child"}
    child = {"id": "child", "type": "WORKFLOW", "workflow": "inner", "next": None}
    return a_workflow([wait, child], "refers-to-it")


def go_on(execution: Any, engine: Any) -> Any:
    services.signal_execution(execution.pk, name="go")
    until(lambda: engine.look() or services.get_execution(str(execution.pk)).has_ended)
    return ended(execution)


@pytest.mark.django_db(transaction=True)
def test_running_parent_starts_the_child_that_was_renamed(parent: Workflow) -> None:
    execution = start(parent)
    with running_engine(ScriptedClient()) as engine:
        until(lambda: execution.steps.filter(status="WAITING").exists())
        inner = services.get_workflow("inner")
        services.update_workflow(inner, {"name": "renamed"})
        other = [{"id": "no", "type": "FAIL", "error": "Another took the name."}]
        a_workflow(other, "inner")
        found = go_on(execution, engine)
    assert found.status == "COMPLETED"
    assert found.steps.get(path="child").status == "COMPLETED"


@pytest.mark.django_db(transaction=True)
def test_running_parent_starts_nothing_that_took_the_name_of_what_was_deleted(
    parent: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A worker that has read the definition looks again: here at once, otherwise after a while.
    monkeypatch.setattr("workflows.definition_cache.CACHED_SECONDS", 0.0)
    execution = start(parent)
    with running_engine(ScriptedClient()) as engine:
        until(lambda: execution.steps.filter(status="WAITING").exists())
        inner = services.get_workflow("inner")
        services.update_workflow(inner, {"name": "renamed"})
        a_workflow(WORK, "inner")
        services.delete_workflow(inner, force=True)
        found = go_on(execution, engine)
    assert found.errors[0]["code"] == "not_found"
    assert "renamed" in found.errors[0]["message"]


@pytest.mark.django_db(transaction=True)
def test_running_parent_says_that_its_child_was_deleted(parent: Workflow) -> None:
    execution = start(parent)
    with running_engine(ScriptedClient()) as engine:
        until(lambda: execution.steps.filter(status="WAITING").exists())
        services.delete_workflow(services.get_workflow("inner"), force=True)
        found = go_on(execution, engine)
    assert found.errors[0]["code"] == "not_found"
    assert "inner" in found.errors[0]["message"]


def test_execution_under_way_counts_as_a_user_after_its_workflow_changed(parent: Workflow) -> None:
    services.start_execution(parent, Start(input={}, context={}))
    services.save_definition(parent, {"steps": WORK})
    inner = services.get_workflow("inner")
    refused = factories.caller().delete(path_of(inner))
    assert refused.json()["used_by"] == ["workflow refers-to-it"]


def test_service_that_registers_anew_under_its_name_is_called_again() -> None:
    first = service()
    user = in_a_step("service")(first)
    registry.unregister_service(first, force=True)
    again = Registration(name="planner", fields={}, url="http://127.0.0.1:9", actions=[])
    made = registry.register_service(again).service
    step = definition_of(user.current_version).steps["a"]
    assert step.target is not None
    from registry.calls.targets.resolver import CallTarget, _named

    assert _named(CallTarget("service", step.target.name, step.target.id)).pk == made.pk


def test_definitions_of_before_are_bound_by_the_migration() -> None:
    users = [in_a_branch(kind)(MAKE[kind]()) for kind in NAMED_KINDS[:1]]
    expected = [user.current_version.bindings for user in users]
    WorkflowVersion.objects.update(bindings={})
    import_module("workflows.migrations.0013_bind_names").bind_names(apps, None)
    bound = [WorkflowVersion.objects.get(workflow=user).bindings for user in users]
    assert bound == expected != [{}]
