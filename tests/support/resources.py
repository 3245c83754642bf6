"""Every resource that is kept under a name: for rules that hold for all of them.

A resource that is added and not named here fails `missing_resources`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import models
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from rest_framework.test import APIClient

from core.api.api_keys import KeyViewSet
from core.api.viewsets import ResourceViewSet
from core.models import ApiKey
from core.roles import SCOPES
from model_orchestration.api.configuration import (
    BudgetViewSet,
    ContentPolicyViewSet,
    ModelViewSet,
    RouteViewSet,
)
from model_orchestration.api.prompts import PromptViewSet
from model_orchestration.models import ContentPolicy, Model, ModelBudget, ModelRoute, Prompt
from monitoring.api.alerts import ChannelViewSet
from monitoring.api.checks import HealthCheckViewSet
from monitoring.api.escalations import EscalationViewSet
from monitoring.api.maintenance import MaintenanceViewSet
from monitoring.api.silences import SilenceViewSet
from monitoring.api.slos import SloViewSet
from monitoring.api.status_pages import StatusPageViewSet
from monitoring.models import (
    AlertChannel,
    AlertSilence,
    EscalationPolicy,
    HealthCheck,
    MaintenanceWindow,
    Slo,
    StatusPage,
)
from registry.api.connections import ConnectionViewSet
from registry.api.credentials import CredentialViewSet
from registry.api.integrations import IntegrationViewSet
from registry.api.services import ServiceViewSet
from registry.models import Connection, Credential, Integration, Service
from tests import factories
from tests.support.alerts import make_channel
from tests.support.connections import make_connection
from tests.support.credentials import fields_of, make_credential
from workflows.api.schedules import ScheduleViewSet
from workflows.api.webhooks import WebhookViewSet
from workflows.api.workflows import WorkflowViewSet
from workflows.models import Webhook, Workflow, WorkflowSchedule


@dataclass(frozen=True)
class Resource:
    """A resource with a name of its own: `fields` beside the name make one, `change` changes it."""

    view: type[ResourceViewSet]
    model: type[models.Model]
    path: str
    fields: Callable[[], dict[str, Any]]
    change: dict[str, Any] = field(default_factory=lambda: {"description": "changed"})

    @property
    def title(self) -> str:
        return str(self.model._meta.verbose_name)

    def make(self, api: APIClient, name: str = "first", **fields: Any) -> dict[str, Any]:
        """One that is stored, as it was answered."""
        answer = api.post(self.path, {"name": name, **self.fields(), **fields})
        assert answer.status_code == 201, answer.content
        return answer.json()


def _of_service() -> dict[str, Any]:
    return {"url": "http://127.0.0.1:9", "actions": ["act"]}


def _of_connection() -> dict[str, Any]:
    return {"type": "HTTP", "base_url": "http://127.0.0.1:9"}


def _of_credential() -> dict[str, Any]:
    fields = fields_of("BEARER_TOKEN")
    del fields["name"]
    return fields


def _of_integration() -> dict[str, Any]:
    if not Service.objects.filter(name="target").exists():
        factories.make_service("target", actions=("act",))
    return {"target": {"service": "target", "action": "act"}}


def _of_workflow() -> dict[str, Any]:
    return {"steps": factories.SIMPLE_STEPS}


def _workflow() -> str:
    found = Workflow.objects.filter(name="target").first() or factories.make_workflow("target")
    return found.name


def _of_schedule() -> dict[str, Any]:
    return {"workflow": _workflow(), "cron": "0 9 * * *"}


def _of_webhook() -> dict[str, Any]:
    if not Credential.objects.filter(name="signing").exists():
        make_credential("HMAC_SIGNATURE", name="signing", allowed_origins=[])
    return {"workflow": _workflow(), "credential": "signing"}


def _of_channel() -> dict[str, Any]:
    return {"type": "SLACK", "secret": {"url": "http://127.0.0.1:9/services/T0/B0/hidden"}}


def _of_check() -> dict[str, Any]:
    return {"kind": "HTTP", "url": "http://127.0.0.1:9/"}


def _of_window() -> dict[str, Any]:
    return {"services": ["pay-*"], "cron": "0 2 * * 0", "duration_minutes": 60}


def _of_policy() -> dict[str, Any]:
    if not AlertChannel.objects.filter(name="boss").exists():
        make_channel("boss")
    return {"levels": [{"after_minutes": 10, "channels": ["boss"]}]}


def _of_silence() -> dict[str, Any]:
    return {"services": ["pay-*"], "ends_at": timezone.now() + timedelta(hours=1)}


def _of_slo() -> dict[str, Any]:
    if not Service.objects.filter(name="target").exists():
        factories.make_service("target", actions=("act",))
    return {"service": "target"}


def _of_model() -> dict[str, Any]:
    name = "provider"
    if not Connection.objects.filter(name=name).exists():
        make_connection(name=name)
    return {"capabilities": ["CHAT"], "connection": name}


def _of_route() -> dict[str, Any]:
    if not Model.objects.filter(name="target").exists():
        connection = _of_model()["connection"]
        Model.objects.create(
            name="target", capabilities=["CHAT"], connection=Connection.objects.get(name=connection)
        )
    return {"targets": [{"model": "target"}]}


def _of_budget() -> dict[str, Any]:
    return {"scope": "PROJECT", "subject": "apollo", "cost_limit": 5}


def _of_prompt() -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Hello?"}]}


RESOURCES = (
    Resource(ServiceViewSet, Service, "/registry/services", _of_service),
    Resource(ConnectionViewSet, Connection, "/registry/connections", _of_connection),
    Resource(CredentialViewSet, Credential, "/registry/credentials", _of_credential),
    Resource(IntegrationViewSet, Integration, "/registry/integrations", _of_integration),
    Resource(WorkflowViewSet, Workflow, "/workflows", _of_workflow),
    Resource(ScheduleViewSet, WorkflowSchedule, "/schedules", _of_schedule, {"priority": 7}),
    Resource(WebhookViewSet, Webhook, "/webhooks", _of_webhook),
    Resource(ChannelViewSet, AlertChannel, "/monitoring/channels", _of_channel),
    Resource(MaintenanceViewSet, MaintenanceWindow, "/monitoring/maintenance", _of_window),
    Resource(EscalationViewSet, EscalationPolicy, "/monitoring/escalations", _of_policy),
    Resource(SilenceViewSet, AlertSilence, "/monitoring/silences", _of_silence),
    Resource(SloViewSet, Slo, "/monitoring/slos", _of_slo),
    Resource(StatusPageViewSet, StatusPage, "/monitoring/status-pages", dict),
    Resource(HealthCheckViewSet, HealthCheck, "/monitoring/checks", _of_check),
    Resource(ModelViewSet, Model, "/models", _of_model),
    Resource(RouteViewSet, ModelRoute, "/models/routes", _of_route),
    Resource(PromptViewSet, Prompt, "/models/prompts", _of_prompt),
    Resource(ContentPolicyViewSet, ContentPolicy, "/models/content-policies", dict),
    Resource(BudgetViewSet, ModelBudget, "/models/budgets", _of_budget),
    Resource(KeyViewSet, ApiKey, "/keys", dict, {"networks": ["10.0.0.0/8"]}),
)


def caller_with_all_scopes() -> APIClient:
    return factories.caller(scopes=sorted(SCOPES))


def missing_resources() -> set[str]:
    """The resources of the API that can be changed and are not in the table."""
    named = {resource.view for resource in RESOURCES}
    views = {_view_of(pattern) for pattern in _patterns(get_resolver().url_patterns)}
    return {view.__name__ for view in views - named if view and hasattr(view, "partial_update")}


def _patterns(found: Any) -> list[URLPattern]:
    inside: list[URLPattern] = []
    for entry in found:
        inside += _patterns(entry.url_patterns) if isinstance(entry, URLResolver) else [entry]
    return inside


def _view_of(pattern: URLPattern) -> Any:
    view = getattr(pattern.callback, "cls", None)
    return view if isinstance(view, type) and issubclass(view, ResourceViewSet) else None
