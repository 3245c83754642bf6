"""Every act of a person leaves an entry: each route that changes something, and each admin action.

A route or an admin action that is in no table here fails, so that none is added without its entry.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone

from core.models import AuditEntry
from monitoring.models import Incident, Subject
from registry.models import Service
from tests import factories
from tests.support.alerts import make_channel, make_delivery
from tests.support.checks import make_check
from tests.support.connections import make_connection
from tests.support.credentials import make_credential
from tests.support.patch_cases import CASES
from workflows.models import BulkOperation, WorkflowStep
from workflows.services import retire_version

pytestmark = [pytest.mark.django_db, pytest.mark.once]
WRITES = ("POST", "PUT", "PATCH", "DELETE")
Request = tuple[str, str, Any]  # method, path, body

# What changes nothing that anybody asks about later, or is told by records of its own.
NOT_RECORDED = {
    "ServiceViewSet.heartbeat": "machines beat all the time",
    "SearchView.post": "discovery: a query",
    "WorkflowViewSet.validate": "stores nothing",
    "HealthCheckViewSet.run": "looks and stores nothing",
    "PreviewViewSet.create": "asks nobody and stores nothing",
    "WorkflowViewSet.dry_run": "stores and calls nothing",
    "ExecutionViewSet.evaluate": "an expression on what is kept: stores nothing",
    "SilenceViewSet.preview": "stores nothing",
    "ScheduleViewSet.preview": "stores nothing",
    "ChatView.post": "a request to a model: kept as one",
    "NativeChatView.post": "a request to a model: kept as one",
    "NativeCompletionView.post": "a request to a model: kept as one",
    "NativeEmbeddingView.post": "a request to a model: kept as one",
    "PlanView.post": "a request to a model: kept as one",
    "PlanReviewView.post": "a request to a model: kept as one",
    "TaskExecutionView.post": "a request to a model: kept as one",
    "PromptViewSet.render": "stores nothing",
    "NativeImageView.post": "a request to a model: kept as one",
    "NativeTranscriptionView.post": "a request to a model: kept as one",
    "NativeTranslationView.post": "a request to a model: kept as one",
    "TranscriptionView.post": "a request to a model: kept as one",
    "TranslationView.post": "a request to a model: kept as one",
    "GenerateView.post": "a request to a model: kept as one",
    "PlainChatView.post": "a request to a model: kept as one",
    "PlainEmbeddingView.post": "a request to a model: kept as one",
    "ImageView.post": "a request to a model: kept as one",
    "MessagesView.post": "a request to a model: kept as one",
    "CompletionView.post": "a request to a model: kept as one",
    "EmbeddingView.post": "a request to a model: kept as one",
    "FeedbackViewSet.give": "kept as feedback",
    "PerformanceUpkeepViewSet.update_history": "changes nothing",
    "WebhookViewSet.receive": "a message of a machine: kept as a delivery",
}


# --- What is done to what ---


def _service() -> Any:
    return factories.make_service("billing", urls=("http://127.0.0.1:9",), actions=("pay",))


def _pending() -> Any:
    service = _service()
    service.acceptance = service.status = "PENDING"
    service.save()
    return service


def _circuit() -> str:
    return f"/health/circuit-breakers/{_service().instances.get().pk}"


def _order(order: str) -> Request:
    return "POST", f"{_circuit()}/{order}", WHY


def _decide(act: str) -> Request:
    return "POST", f"{_incident()}/{act}", {}


def _execution(status: str, steps: Any = None, step: str = "") -> str:
    workflow = factories.make_workflow("flow", steps)
    found = factories.make_execution(workflow, status=status)
    if step:
        WorkflowStep.objects.filter(execution=found).update(
            step_id="one", path="one", status=step, completed_at=timezone.now()
        )
    return f"/executions/{found.pk}"


def _approval() -> str:
    return _execution("WAITING", [{"id": "one", "type": "APPROVAL", "next": None}], "WAITING")


def _call(status: str) -> str:
    step = {"id": "one", "type": "ACTION", "service": "billing", "action": "pay", "next": None}
    return _execution(status, [step], status)


def _schedule(**fields: Any) -> str:
    factories.make_workflow("flow")
    from workflows.services import create_schedule

    made = create_schedule({"name": "nightly", "workflow": "flow", "cron": "0 9 * * *", **fields})
    return f"/schedules/{made.pk}"


def _webhook() -> str:
    from workflows.services.webhooks.lifecycle import create_webhook

    make_credential("HMAC_SIGNATURE", name="signing")
    factories.make_workflow("flow")
    made = create_webhook({"name": "orders", "credential": "signing", "workflow": "flow"})
    return f"/webhooks/{made.pk}"


def _incident() -> str:
    subject = Subject.MASS_EXPIRY
    made = Incident.objects.create(subject=subject, cause="x", opened_at=timezone.now())
    return f"/monitoring/incidents/{made.pk}"


def _seen_to() -> str:
    path = _incident()
    Incident.objects.update(status="ACKNOWLEDGED", acknowledged_by="x")
    return path


def _window() -> str:
    from monitoring.maintenance.lifecycle import begin_now

    return str(begin_now({"services": [_service().name], "minutes": 5}, actor="x").pk)


def _silence() -> str:
    from monitoring.alerts.silencing import create_silence

    hour = timezone.now() + timedelta(hours=1)
    return str(create_silence({"name": "s", "tags": ["db"], "ends_at": hour}, actor="x").pk)


def _dependency() -> str:
    from monitoring.dependencies.lifecycle import create_dependency

    pair = {"service": _service(), "depends_on": factories.make_service("base")}
    return f"/monitoring/dependencies/{create_dependency(pair, actor='x').pk}"


def _other_incident() -> str:
    return str(Incident.objects.create(subject="MANUAL", cause="x", dedup_key="other",
                                       opened_at=timezone.now()).pk)  # fmt: skip


def _integration() -> str:
    from registry.integrations.lifecycle import create_integration

    _service()
    target = {"service": "billing", "action": "pay"}
    return f"/integrations/{create_integration({'name': 'pays', 'target': target}).pk}"


def _ungranted() -> Any:
    """A service with a credential, which its action may not use."""
    service = _service()
    Service.objects.filter(pk=service.pk).update(credential=make_credential())
    return service


def _ungranted_integration() -> str:
    path = _integration()
    Service.objects.update(credential=make_credential())
    return path


def _reaching() -> str:
    """A version that calls what has a credential."""
    make_connection(name="shop", credential=make_credential().name)
    workflow = factories.make_workflow("flow", [{"id": "a", "connection": "shop", "next": None}])
    return f"/workflows/{workflow.pk}/versions/1"


def _granted() -> str:
    from workflows.services import allow_version, get_workflow

    path = _reaching()
    version = get_workflow("flow").current_version
    assert version is not None
    allow_version(version, actor="x")
    return path


def _bulk() -> str:
    made = BulkOperation.objects.create(
        action="CANCEL", filter={}, actor="x", created_before=timezone.now(), total=1
    )
    return f"/executions/bulk/{made.pk}"


def _workflow_type(name: str) -> Request:
    factories.make_workflow(name, type=name.upper().replace("-", "_"))
    return "POST", f"/workflows/{name}", {}


def _of_case(action: str, name: str) -> Request:
    """Make, change or delete a resource of the table that the tests of changes have."""
    case = next(case for case in CASES if case.name == name)
    case.setup()
    if action == "create":
        return "POST", case.path, case.made
    api = factories.caller(scopes=[*_all_scopes()])
    row = api.post(case.path, case.made, format="json").json()
    path = f"{case.path}/{row['id']}"
    if action == "destroy":
        return "DELETE", path, None
    field = next(n for n in case.other if n not in case.fixed and not case.along.get(n))
    method = "PUT" if action == "update" else "PATCH"
    body = {field: case.other[field]}
    if method == "PUT" and case.name == "workflow":
        body = {**case.made, **body}
    return method, path, body


def _all_scopes() -> Iterator[str]:
    from core.roles import SCOPES

    yield from SCOPES


ROTATED = {"secret": {"token": "another-token-0123"}, "expires_at": None}
WHY = {"reason": "It has to be."}
ACTS: dict[str, Callable[[], Request]] = {
    "ManifestViewSet.apply": lambda: (
        "POST", "/manifests/apply",
        {"files": [{"name": "a.yaml", "text": "kind: StatusPage\nname: a\nspec: {}"}]}),
    "ServiceViewSet.set_status": lambda: (
        "PUT", f"/registry/services/{_service().pk}/status", {"status": "maintenance"}),
    "ServiceViewSet.set_instance_status": lambda: (
        "PUT", f"/services/billing/instances/{_service().instances.get().pk}/status",
        {"status": "maintenance"}),
    "ServiceViewSet.accept": lambda: ("POST", f"/services/{_pending().pk}/accept", WHY),
    "ServiceViewSet.refuse": lambda: ("POST", f"/services/{_pending().pk}/refuse", WHY),
    "ServiceViewSet.add_instance": lambda: (
        "POST", f"/services/{_service().pk}/instances", {"url": "http://127.0.0.1:10"}),
    "ServiceViewSet.remove_instance": lambda: (
        "DELETE", f"/services/billing/instances/{_service().instances.get().pk}", None),
    "ServiceViewSet.execute_action": lambda: (
        "POST", f"/services/{_service().pk}/actions/pay/execute", {}),
    "ServiceViewSet.allow": lambda: (
        "POST", f"/services/{_ungranted().pk}/grants", {}),
    "IntegrationViewSet.allow": lambda: ("POST", f"{_ungranted_integration()}/grants", {}),
    "CredentialViewSet.rotate": lambda: (
        "POST", f"/registry/credentials/{make_credential().pk}/rotate", ROTATED),
    "IntegrationViewSet.execute": lambda: ("POST", f"{_integration()}/execute", {}),
    "ConnectionViewSet.disable": lambda: (
        "POST", f"/registry/connections/{make_connection().pk}/disable", WHY),
    "ConnectionViewSet.enable": lambda: (
        "POST", f"/registry/connections/{_disabled().pk}/enable", {}),
    "ConnectionViewSet.test": lambda: (
        "POST", f"/registry/connections/{make_connection().pk}/test", {}),
    **{
        f"CircuitViewSet.{order}": partial(_order, order)
        for order in ("open", "close", "disable", "reset")
    },
    "KeyViewSet.revoke": lambda: (
        "POST", f"/keys/{factories.make_key(name='old')[0].pk}/revoke", {}),
    "WorkflowViewSet.allow": lambda: ("POST", f"{_reaching()}/grants", {}),
    "WorkflowViewSet.withdraw": lambda: ("POST", f"{_granted()}/grants/withdraw", {}),
    "WorkflowViewSet.activate": lambda: (
        "POST", f"/workflows/{factories.make_workflow().pk}/versions/1/activate", {}),
    "WorkflowViewSet.retire": lambda: (
        "POST", f"/workflows/{factories.make_workflow().pk}/versions/1/retire", WHY),
    "WorkflowViewSet.reinstate": lambda: (
        "POST", f"/workflows/{_retired().pk}/versions/1/reinstate", WHY),
    "WorkflowViewSet.execute": lambda: (
        "POST", f"/workflows/{factories.make_workflow().pk}/execute", {"input_data": {}}),
    "WorkflowViewSet.execute_request": lambda: (
        "POST", "/workflows/execute",
        {"workflow": factories.make_workflow().name, "data": {}, "options": {"wait": 0}}),
    **{
        f"WorkflowViewSet.{name.replace('-', '_')}": partial(_workflow_type, name)
        for name in ("project-planning", "project-creation", "agent-task-execution",
                     "human-interaction")
    },
    "BulkOperationViewSet.create": lambda: (
        "POST", "/executions/bulk",
        {"action": "cancel", "filter": {"workflow": _execution("RUNNING") and "flow"},
         "expected_count": 1}),
    "BulkOperationViewSet.cancel": lambda: ("POST", f"{_bulk()}/cancel", {}),
    "ExecutionViewSet.cancel": lambda: ("POST", f"{_execution('RUNNING')}/cancel", {}),
    "ExecutionViewSet.pause": lambda: ("POST", f"{_execution('RUNNING')}/pause", {}),
    "ExecutionViewSet.resume": lambda: ("POST", f"{_execution('PAUSED')}/resume", {}),
    "ExecutionViewSet.retry": lambda: ("POST", f"{_call('FAILED')}/retry", {}),
    "ExecutionViewSet.rerun": lambda: ("POST", f"{_call('FAILED')}/rerun", {}),
    "ExecutionViewSet.signal": lambda: (
        "POST", f"{_execution('RUNNING')}/signal", {"name": "paid"}),
    "ExecutionViewSet.approve": lambda: ("POST", f"{_approval()}/steps/one/approve", {}),
    "ExecutionViewSet.reject": lambda: ("POST", f"{_approval()}/steps/one/reject", {}),
    "ExecutionViewSet.complete_step": lambda: (
        "POST", f"{_call('NEEDS_REVIEW')}/steps/one/complete", {"output": {}}),
    "ExecutionViewSet.fail_step": lambda: (
        "POST", f"{_call('NEEDS_REVIEW')}/steps/one/fail", {"reason": "It did not."}),
    "ScheduleViewSet.run": lambda: ("POST", f"{_schedule()}/run", {}),
    "ScheduleViewSet.disable": lambda: ("POST", f"{_schedule()}/disable", {}),
    "ScheduleViewSet.enable": lambda: ("POST", f"{_schedule(enabled=False)}/enable", {}),
    "ScheduleViewSet.backfill": lambda: (
        "POST", f"{_schedule()}/backfill",
        {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}),
    "ScheduleViewSet.cancel_backlog": lambda: ("POST", f"{_schedule()}/backfill/cancel", {}),
    **{
        f"IncidentViewSet.{act}": partial(_decide, act)
        for act in ("acknowledge", "expire", "keep", "resolve")
    },
    "MaintenanceViewSet.now": lambda: (
        "POST", "/monitoring/maintenance/now", {"services": [_service().name], "minutes": 5}),
    "MaintenanceViewSet.finish": lambda: (
        "POST", f"/monitoring/maintenance/{_window()}/finish", {}),
    "MaintenanceViewSet.extend": lambda: (
        "POST", f"/monitoring/maintenance/{_window()}/extend", {"minutes": 5}),
    "MaintenanceViewSet.cancel": lambda: (
        "POST", f"/monitoring/maintenance/{_window()}/cancel", {}),
    "DependencyViewSet.create": lambda: (
        "POST", "/monitoring/dependencies",
        {"service": _service().name, "depends_on": factories.make_service("base").name}),
    "DependencyViewSet.destroy": lambda: ("DELETE", _dependency(), None),
    "SilenceViewSet.expire": lambda: ("POST", f"/monitoring/silences/{_silence()}/expire", {}),
    "IncidentViewSet.silence": lambda: ("POST", f"{_incident()}/silence", {"minutes": 5}),
    "IncidentViewSet.create": lambda: ("POST", "/monitoring/incidents", {"title": "Slow"}),
    "IncidentViewSet.unacknowledge": lambda: ("POST", f"{_seen_to()}/unacknowledge", {}),
    "IncidentViewSet.assign": lambda: ("POST", f"{_incident()}/assign", {"to": "ann"}),
    "IncidentViewSet.describe": lambda: ("POST", f"{_incident()}/describe", {"impact": "MINOR"}),
    "IncidentViewSet.add_update": lambda: ("POST", f"{_incident()}/updates", {"text": "Seen."}),
    "IncidentViewSet.merge": lambda: (
        "POST", f"{_incident()}/merge", {"into": _other_incident()}),
    "ModelViewSet.add_price": lambda: (
        "POST", f"{_model()}/prices", {"input": 1, "output": 2}),
    "PerformanceUpkeepViewSet.reset": lambda: (
        "POST", "/performance/reset", {"model_id": _model().rpartition("/")[2]}),
    "QuotaViewSet.set_quota": lambda: (
        "PUT", "/models/quotas/OPENAI", {"daily_cost_limit": 5}),
    "QuotaViewSet.remove": lambda: ("DELETE", f"/models/quotas/{_quota()}", None),
    "HealthCheckViewSet.rotate_token": lambda: (
        "POST", f"/monitoring/checks/{make_check('j', kind='PUSH', url='').pk}/rotate-token", {}),
    "HealthCheckViewSet.pause": lambda: (
        "POST", f"/monitoring/checks/{make_check('p').pk}/pause", {}),
    "HealthCheckViewSet.resume": lambda: (
        "POST", f"/monitoring/checks/{make_check('r', enabled=False).pk}/resume", {}),
    "ChannelViewSet.test": lambda: (
        "POST", f"/monitoring/channels/{make_channel().pk}/test", {}),
    "AlertDeliveryViewSet.retry": lambda: (
        "POST", f"/monitoring/deliveries/{make_delivery(make_channel(), state='DEAD').pk}/retry",
        {}),
    **{
        f"{case.view.__name__}.{action}": partial(_of_case, action, case.name)
        for case in CASES
        for action in ("create", "update", "partial_update", "destroy")
    },
}  # fmt: skip


def _model() -> str:
    from model_orchestration.models import Model

    made = Model.objects.create(name="small", capabilities=["CHAT"], connection=make_connection())
    return f"/models/{made.pk}"


def _quota() -> str:
    from model_orchestration.models import ProviderQuota

    return ProviderQuota.objects.create(provider="OPENAI", daily_token_limit=5).provider


def _retired() -> Any:
    workflow = factories.make_workflow()
    assert workflow.current_version is not None
    retire_version(workflow.current_version, "Old.")
    return workflow


def _disabled() -> Any:
    from registry.connections.lifecycle import disable_connection

    return disable_connection(make_connection(), reason="x", actor="x")


def _routes() -> Iterator[str]:
    """Every view with each of its actions that a method which changes something leads to."""
    for pattern in _leaves(get_resolver("integration_site.api.urls").url_patterns):
        view = getattr(pattern.callback, "cls", None) or pattern.callback.view_class
        actions = getattr(pattern.callback, "actions", None)
        if actions is None:
            actions = {name: name for name in view.http_method_names if hasattr(view, name)}
        for method, action in actions.items():
            if method.upper() in WRITES:
                yield f"{view.__name__}.{action}"


def _leaves(patterns: Any) -> Iterator[Any]:
    for pattern in patterns:
        if hasattr(pattern, "url_patterns"):
            yield from _leaves(pattern.url_patterns)
        else:
            yield pattern


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


def test_every_route_that_changes_something_is_in_a_table() -> None:
    assert set(_routes()) == ACTS.keys() | NOT_RECORDED.keys()
    assert not ACTS.keys() & NOT_RECORDED.keys()


# These call from other threads, which see what is committed.
CALLS_OUT = {"ServiceViewSet.execute_action", "IntegrationViewSet.execute",
             "ConnectionViewSet.test", "ChannelViewSet.test"}  # fmt: skip


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shared_client")
@pytest.mark.parametrize("route", sorted(CALLS_OUT))
def test_call_over_the_api_leaves_an_entry(route: str, root: Client) -> None:
    check_entry(route, root)


@pytest.mark.parametrize("route", sorted(ACTS.keys() - CALLS_OUT))
def test_act_over_the_api_leaves_an_entry(
    route: str, root: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.api.workflows.REQUEST_WAIT_SECONDS", 0.0)
    check_entry(route, root)


def check_entry(route: str, root: Client) -> None:
    method, path, body = ACTS[route]()
    AuditEntry.objects.all().delete()
    answer = root.generic(method, path, json_of(body), content_type="application/json",
                          headers={"X-Request-ID": "req-1"})  # fmt: skip
    assert answer.status_code < 300 or answer.status_code in (502, 503), answer.content
    found = AuditEntry.objects.filter(actor="root", actor_kind="USER", request_id="req-1")
    assert found.exists(), f"{route} left no entry"


def json_of(body: Any) -> str:
    return "" if body is None else json.dumps(body)
