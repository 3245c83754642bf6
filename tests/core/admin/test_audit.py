"""Every act in the admin leaves an entry: forms, deletions, actions on lists and on pages.

What the admin has is read from the admin: what is in no table here fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from core.models import AuditEntry
from model_orchestration.models import (
    ContentPolicy,
    Model,
    ModelBudget,
    ModelPrice,
    ModelRoute,
    ProviderQuota,
)
from model_orchestration.services.prompts import create_prompt
from monitoring.alerts.escalation_policies import create_policy
from monitoring.alerts.silencing import create_silence
from monitoring.checks.lifecycle import create_check
from monitoring.maintenance.lifecycle import create_window
from monitoring.models import AlertSilence, EscalationPolicy, Incident, Slo, StatusPage
from registry.models import ServiceAction
from registry.services import set_service_status
from tests import factories
from tests.core import test_audit_coverage as acts
from tests.core.api.test_patch import FormValues
from tests.support.alerts import make_channel, make_delivery
from tests.support.checks import make_check
from tests.support.connections import make_connection
from tests.support.credentials import make_credential

pytestmark = [pytest.mark.django_db, pytest.mark.once]
root = acts.root
DIALOG = {"_form_submitted": "True", "reason": "It has to be."}


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _maintained() -> Any:
    return set_service_status(acts._service(), "MAINTENANCE")


def _key() -> Any:
    return factories.make_key(name="old")[0].pk


def _planned() -> Any:
    fields = {"name": "nightly", "services": ["pay-*"], "cron": "0 2 * * 0", "duration_minutes": 5}
    return create_window(fields, actor="x")


def _service() -> Any:
    return acts._service().pk


def _instance() -> Any:
    return acts._service().instances.get().pk


def _circuit() -> Any:
    from registry.calls.circuits.operator_control import get_circuit
    from registry.calls.circuits.store import load

    key = str(_instance())
    load([key])
    return get_circuit(key).pk


def _integration() -> Any:
    return _last(acts._integration())


def _execution(status: str) -> Any:
    return _last(acts._call(status) if status == "FAILED" else acts._execution(status))


def _schedule(**fields: Any) -> Any:
    return _last(acts._schedule(**fields))


def _webhook(**fields: Any) -> Any:
    return _last(acts._webhook())


def _version(is_current: bool, *, retired: bool = False) -> Any:
    workflow = acts._retired() if retired else factories.make_workflow()
    version = workflow.current_version
    if not is_current:
        workflow.current_version = None
        workflow.save()
    assert version is not None
    return version.pk


def _current(make: Callable[[], object]) -> Any:
    from workflows.models import Workflow

    make()
    return Workflow.objects.get().current_version_id


def _policy() -> EscalationPolicy:
    levels = [{"after_minutes": 10, "channels": [make_channel().name]}]
    return create_policy({"name": "hours", "levels": levels}, actor="x")


def _silence() -> AlertSilence:
    hour = timezone.now() + timedelta(hours=1)
    return create_silence({"name": "quiet", "tags": ["db"], "ends_at": hour}, actor="x")


def _model() -> Model:
    return Model.objects.create(
        name="small", connection=make_connection(), provider="CUSTOM", capabilities=["CHAT"]
    )


OTHER = "0197f000-0000-7000-8000-00000000000a"


def _job() -> Any:
    fields = {"name": "backup", "kind": "PUSH", "interval_seconds": 3600}
    return create_check(fields, actor="x").pk


def _part_of_another() -> Any:
    key = _last(acts._incident())
    now = timezone.now()
    Incident.objects.create(pk=OTHER, subject="MANUAL", cause="x", dedup_key="a", opened_at=now)
    return key


ROWS: dict[str, Callable[[], Any]] = {
    "ApiKey": _key,
    "Service": _service,
    "ServiceInstance": _instance,
    "ServiceAction": lambda: ServiceAction.objects.get(service=_service()).pk,
    "Connection": lambda: make_connection().pk,
    "Credential": lambda: make_credential().pk,
    "Integration": _integration,
    "User": lambda: User.objects.create_user("ada").pk,
    "Group": lambda: Group.objects.create(name="others").pk,
    "WorkflowSchedule": _schedule,
    "Webhook": _webhook,
    "Workflow": lambda: factories.make_workflow().pk,
    "AlertChannel": lambda: make_channel().pk,
    "MaintenanceWindow": lambda: _planned().pk,
    "AlertSilence": lambda: _silence().pk,
    "EscalationPolicy": lambda: _policy().pk,
    "Slo": lambda: Slo.objects.create(name="well", service=factories.make_service()).pk,
    "HealthCheck": lambda: make_check().pk,
    "ServiceDependency": lambda: factories.make_service().needs.create(
        depends_on=factories.make_service("db")).pk,
    "StatusPage": lambda: StatusPage.objects.create(name="ours").pk,
    "Model": lambda: _model().pk,
    "ModelPrice": lambda: ModelPrice.objects.create(
        model=_model(), input=1, valid_from=timezone.now() + timedelta(days=1)).pk,
    "ModelRoute": lambda: ModelRoute.objects.create(
        name="assistant", targets=[{"model": _model().name}]).pk,
    "Prompt": lambda: create_prompt(
        {"name": "summary", "messages": [{"role": "user", "content": "Hello?"}]}).pk,
    "ContentPolicy": lambda: ContentPolicy.objects.create(name="shop").pk,
    "ModelBudget": lambda: ModelBudget.objects.create(
        name="shop", scope="PROJECT", subject="shop", token_limit=5000).pk,
    "ProviderQuota": lambda: ProviderQuota.objects.create(
        provider="CUSTOM", daily_token_limit=5000).pk,
}  # fmt: skip
# A field of the form of each, and another value for it.
CHANGES = {
    "ApiKey": ("networks", "10.0.0.0/8"),
    "Service": ("owner", "somebody"),
    "ServiceInstance": ("zone", "north"),
    "ServiceAction": ("description", "Other."),
    "Connection": ("description", "Other."),
    "Credential": ("description", "Other."),
    "Integration": ("description", "Other."),
    "User": ("first_name", "Ada"),
    "Group": ("name", "renamed"),
    "WorkflowSchedule": ("description", "Other."),
    "Webhook": ("description", "Other."),
    "Workflow": ("description", "Other."),
    "AlertChannel": ("description", "Other."),
    "MaintenanceWindow": ("description", "Other."),
    "EscalationPolicy": ("description", "Other."),
    "AlertSilence": ("description", "Other."),
    "Slo": ("description", "Other."),
    "HealthCheck": ("description", "Other."),
    "ServiceDependency": ("kind", "SOFT"),
    "StatusPage": ("description", "Other."),
    "Model": ("description", "Other."),
    "ModelRoute": ("description", "Other."),
    "Prompt": ("description", "Other."),
    "ContentPolicy": ("description", "Other."),
    "ModelBudget": ("description", "Other."),
    "ProviderQuota": ("daily_token_limit", "6000"),
}
NEVER_CHANGED = {"ModelPrice": "requests were charged with it: a new one takes its place"}
# Actions on the list and on the page of one: the row that each is done to, and what is posted.
ACTIONS: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "ApiKey.revoke_selected": (_key, {}),
    "ApiKey.revoke": (_key, {}),
    **{f"CircuitBreakerState.{name}": (_circuit, {}) for name in
       ("open", "close", "disable", "reset")},
    "Connection.disable": (lambda: make_connection().pk, {}),
    "Connection.enable": (lambda: acts._disabled().pk, {}),
    "Credential.rotate": (
        lambda: make_credential().pk, {"bearer_token__secret__token": "another-token-0123"}),
    "ServiceInstance.start_maintenance": (_instance, {}),
    "ServiceInstance.lift_maintenance": (lambda: _maintained().instances.get().pk, {}),
    "Integration.activate_selected": (lambda: _with_status("INACTIVE"), {}),
    "Integration.deactivate_selected": (_integration, {}),
    "Integration.allow": (lambda: acts._ungranted_integration().rpartition("/")[2], {}),
    "Service.allow": (lambda: acts._ungranted().pk, {}),
    "Service.start_maintenance_of_selected": (_service, {}),
    "Service.lift_maintenance_of_selected": (lambda: _maintained().pk, {}),
    "Service.start_maintenance": (_service, {}),
    "Service.accept": (lambda: acts._pending().pk, {}),
    "Service.refuse": (lambda: acts._pending().pk, {}),
    "Service.lift_maintenance": (lambda: _maintained().pk, {}),
    "WorkflowExecution.cancel_selected": (lambda: _execution("RUNNING"), {}),
    "WorkflowExecution.retry_selected": (lambda: _execution("FAILED"), {}),
    "WorkflowSchedule.enable_selected": (lambda: _schedule(enabled=False), {}),
    "WorkflowSchedule.disable_selected": (_schedule, {}),
    "WorkflowSchedule.run_now": (_schedule, {}),
    "WorkflowSchedule.enable": (lambda: _schedule(enabled=False), {}),
    "WorkflowSchedule.disable": (_schedule, {}),
    "WorkflowVersion.run_version": (lambda: _version(True), {"input": "{}"}),
    "WorkflowVersion.allow": (lambda: _current(acts._reaching), {}),
    "WorkflowVersion.withdraw": (lambda: _current(acts._granted), {"reason": "No more."}),
    "WorkflowVersion.activate": (lambda: _version(False), {}),
    "WorkflowVersion.retire": (lambda: _version(True), {"reason": "Old."}),
    "WorkflowVersion.reinstate": (lambda: _version(True, retired=True), {"reason": "New."}),
    "AlertChannel.enable_selected": (lambda: make_channel(enabled=False).pk, {}),
    "AlertChannel.disable_selected": (lambda: make_channel().pk, {}),
    "HealthCheck.pause_selected": (lambda: make_check().pk, {}),
    "HealthCheck.resume_selected": (lambda: make_check(enabled=False).pk, {}),
    "HealthCheck.pause": (lambda: make_check().pk, {}),
    "HealthCheck.resume": (lambda: make_check(enabled=False).pk, {}),
    "HealthCheck.rotate_token": (_job, {}),
    "Incident.acknowledge": (lambda: _last(acts._incident()), {}),
    "Incident.give_back": (lambda: _last(acts._seen_to()), {}),
    "Incident.add_update": (lambda: _last(acts._incident()), {"text": "Seen."}),
    "Incident.assign": (lambda: _last(acts._incident()), {"to": "ann"}),
    "Incident.describe": (lambda: _last(acts._incident()), {"impact": "MINOR"}),
    "Incident.silence": (lambda: _last(acts._incident()), {"minutes": "5"}),
    "Incident.merge": (_part_of_another, {"into": OTHER}),
    "Incident.resolve": (lambda: _last(acts._incident()), {}),
    "AlertSilence.expire": (lambda: _silence().pk, {}),
    "MaintenanceWindow.finish": (acts._window, {}),
    "MaintenanceWindow.cancel": (lambda: _planned().pk, {}),
    "Webhook.enable_selected": (lambda: _disabled_webhook(), {}),
    "Webhook.disable_selected": (_webhook, {}),
    "Workflow.run": (ROWS["Workflow"], {"input": "{}"}),
}  # fmt: skip
NOT_RECORDED = {
    "Integration.try_it": "leads to a panel; sending from it is recorded as a call",
    "Model.add_price": "leads to the form of a price",
    "Prompt.try_it": "leads to a page that asks over the API, which records the request",
    "Model.try_it": "leads to a page that asks over the API, which records the request",
    "Service.probe_now": "leads to a page that asks and changes nothing",
    "Service.call_action": "leads to a panel; calling from it is recorded",
    "WorkflowSchedule.backfill": "leads to a form; ordering from it is recorded as over the API",
}


def _with_status(status: str) -> Any:
    from registry.models import Integration

    key = _integration()
    Integration.objects.filter(pk=key).update(status=status)
    return key


def _disabled_webhook() -> Any:
    from workflows.models import Webhook

    key = _webhook()
    Webhook.objects.filter(pk=key).update(enabled=False)
    return key


def _admins() -> Iterator[tuple[str, Any]]:
    reverse("admin:index")  # the routes register them
    for model, model_admin in admin.site._registry.items():
        yield model.__name__, model_admin


def _url(name: str, page: str, *args: Any) -> str:
    opts = dict(_admins())[name].opts
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_{page}", args=args)


def _request() -> Any:
    request = RequestFactory().get("/admin/")
    request.user = User(username="root", is_superuser=True, is_active=True, is_staff=True)
    return request


def test_every_form_and_action_of_the_admin_is_in_a_table() -> None:
    found = dict(_admins())
    changed = {name for name, each in found.items() if each.has_change_permission(_request())}
    deleted = {name for name, each in found.items() if each.has_delete_permission(_request())}
    assert changed & deleted == deleted == ROWS.keys()
    assert ROWS.keys() == CHANGES.keys() | NEVER_CHANGED.keys()
    actions = {
        f"{name}.{action}"
        for name, each in found.items()
        for action in (*each.actions, *(each.actions_detail or ()), *(each.actions_row or ()),
                       *(each.actions_list or ()), *(each.actions_submit_line or ()))
    }  # fmt: skip
    assert actions == ACTIONS.keys() | NOT_RECORDED.keys()


def check_entry(name: str) -> None:
    assert AuditEntry.objects.filter(actor="root", actor_kind="USER").exists(), name


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_change_by_a_form_leaves_an_entry_that_names_the_field(name: str, root: Client) -> None:
    url = _url(name, "change", ROWS[name]())
    field, value = CHANGES[name]
    form = FormValues()
    form.feed(root.get(url).content.decode())
    answer = root.post(url, {**form.values, field: value, "_save": "Save"})
    assert answer.status_code == 302, answer.context["errors"]
    (entry,) = AuditEntry.objects.filter(actor="root", verb="CHANGED")
    assert field in entry.changes


@pytest.mark.parametrize("page", ["delete", "changelist"])
@pytest.mark.parametrize("name", sorted(ROWS))
def test_deletion_leaves_one_entry(name: str, page: str, root: Client) -> None:
    key = str(ROWS[name]())
    if page == "delete":
        answer = root.post(_url(name, page, key), {"post": "yes"})
    else:
        many = {"action": "delete_selected", "_selected_action": [key], "post": "yes"}
        answer = root.post(_url(name, page), many)
    assert answer.status_code == 302
    assert AuditEntry.objects.filter(actor="root", verb="DELETED", object_id=key).count() == 1


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_action_leaves_an_entry(name: str, root: Client) -> None:
    make, posted = ACTIONS[name]
    model, action = name.split(".")
    key = make()
    AuditEntry.objects.all().delete()
    if action in dict(_admins())[model].actions:
        body = {"action": action, "_selected_action": [str(key)]}
        answer = root.post(_url(model, "changelist"), {**body, **posted})
    else:
        answer = root.post(_url(model, action, key), {**DIALOG, **posted})
    assert answer.status_code in (200, 302), answer.content
    check_entry(name)


def test_own_page_of_an_object_shows_what_was_done_to_it_and_why(root: Client) -> None:
    key = _circuit()
    root.post(_url("CircuitBreakerState", "open", key), DIALOG)
    for page in (
        _url("CircuitBreakerState", "history", key),
        _url("Service", "history", _service_of(key)),
        _url("AuditEntry", "changelist"),
    ):
        shown = root.get(page).content.decode()
        assert "Forced open" in shown, page
        assert "It has to be." in shown, page


def _service_of(circuit: Any) -> Any:
    from registry.models import CircuitBreakerState

    return CircuitBreakerState.objects.values_list("instance__service", flat=True).get(pk=circuit)


# --- Pages of the console's own ---


def _approval() -> Any:
    return _last(acts._approval())


# Each with the row that its address names, and what a person posts there.
PAGES: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "execution_cancel": (lambda: _execution("RUNNING"), {}),
    "execution_retry": (lambda: _execution("FAILED"), {}),
    "execution_pause": (lambda: _execution("RUNNING"), {}),
    "execution_resume": (lambda: _execution("PAUSED"), {}),
    "execution_decide": (_approval, {"step": "one", "decision": "approve"}),
    "execution_settle": (
        lambda: _last(acts._call("NEEDS_REVIEW")),
        {"step": "one", "verdict": "fail", "reason": "It did not."}),
    "execution_rerun": (
        lambda: _execution("FAILED"), {"from_step": "one", "version": "1", "input": "{}"}),
    "schedule_backfill": (
        _schedule,
        {"start": "1", "first_0": "2026-01-01", "first_1": "00:00", "last_0": "2026-01-02",
         "last_1": "00:00"}),
    "schedule_give_up": (_schedule, {}),
    "bulk_cancel": (lambda: _last(acts._bulk()), {}),
    "bulk_new": (lambda: None, {"action": "CANCEL", "count-CANCEL": "1"}),
    "alert_channel_test": (lambda: make_channel().pk, {}),
    "alert_delivery_retry": (lambda: make_delivery(make_channel(), state="DEAD").pk, {}),
    "connection_test": (lambda: make_connection().pk, {}),
    "incident_decide": (lambda: (_last(acts._incident()), "acknowledge"), {}),
    "service_call": (_service, {"action": "pay", "input": "{}", "input_data": "{}"}),
    "integration_try": (_integration, {"payload": "{}", "send": "1"}),
}  # fmt: skip
CHANGE_NOTHING = {
    "execution_live": "a part of a page", "execution_step_values": "a part of a page",
    "bulk_live": "a part of a page", "schedule_preview": "a part of a page",
    "status_page_preview": "shows the page as visitors would see it",
    "inbox": "a list", "inbox_count": "a part of a page",
    "execution_evaluate": "tries an expression on what is there",
    "workflow_compare": "shows two versions", "workflow_dry_run": "calls nothing",
    "check_try": "looks and stores nothing",
    "service_probe": "asks and changes nothing",
    **dict.fromkeys(
        ("service_use", "connection_use", "integration_use"), "tests/registry/admin/test_grants.py"
    ),
    "service_map": "a picture",
    "model_usage": "shows charts", "model_requests_csv": "an export",
    "model_try": "asks over the API, which records the request",
    "model_connect": "its test sees the entries of the credential and the connection that it makes",
    "model_connect_models": "its test sees the entries of the models that it registers",
    "execution_undone": "leads to what execution_settle does, for a step that was undone by hand",
}  # fmt: skip
OF_DJANGO = {"index", "login", "logout", "password_change", "password_change_done", "jsi18n",
             "autocomplete", "view_on_site", "app_list", "search", "toggle_sidebar"}  # fmt: skip


def test_history_of_what_is_not_there_leads_to_the_start_page_and_says_so(root: Client) -> None:
    url = _url("Service", "history", "0197f000-0000-7000-8000-000000000000")
    answer = root.get(url, follow=True)
    assert answer.redirect_chain == [(reverse("admin:index"), 302)]
    assert "doesn’t exist. Perhaps it was deleted?" in answer.content.decode()


def test_every_page_of_the_consoles_own_is_in_a_table() -> None:
    pages = {str(p.name) for p in acts._leaves(admin.site.get_urls()) if p.name} - OF_DJANGO
    of_models = tuple(f"{each.opts.app_label}_{each.opts.model_name}_" for _, each in _admins())
    own = {name for name in pages if not name.startswith(of_models)}
    assert own == PAGES.keys() | CHANGE_NOTHING.keys()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_page_of_the_consoles_own_leaves_an_entry(name: str, root: Client) -> None:
    make, posted = PAGES[name]
    made = make()
    keys = made if isinstance(made, tuple) else () if made is None else (made,)
    if name == "bulk_new":
        factories.make_execution(factories.make_workflow("flow"), status="RUNNING")
    AuditEntry.objects.all().delete()
    answer = root.post(reverse(f"admin:{name}", args=keys), posted)
    assert answer.status_code in (200, 302), answer.content
    check_entry(name)
