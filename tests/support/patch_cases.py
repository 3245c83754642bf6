"""Every resource that can be changed, with two values for each of its fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.api.api_keys import KeyPatch, KeyViewSet
from core.api.patches import PatchSerializer
from model_orchestration.api.configuration import (
    BudgetViewSet,
    ContentPolicyViewSet,
    ModelViewSet,
    RouteViewSet,
)
from model_orchestration.api.prompts import PromptPatch, PromptViewSet
from model_orchestration.api.serializers import (
    BudgetPatch,
    ContentPolicyPatch,
    ModelPatch,
    RoutePatch,
)
from model_orchestration.models import Model
from monitoring.api.alerts import ChannelPatch, ChannelViewSet
from monitoring.api.checks import HealthCheckPatch, HealthCheckViewSet
from monitoring.api.escalations import EscalationPolicyPatch, EscalationViewSet
from monitoring.api.maintenance import MaintenanceViewSet, MaintenanceWindowPatch
from monitoring.api.silences import SilencePatch, SilenceViewSet
from monitoring.api.slos import SloPatch, SloViewSet
from monitoring.api.status_pages import StatusPagePatch, StatusPageViewSet
from registry.api.connections import ConnectionPatch, ConnectionViewSet
from registry.api.credentials import CredentialPatch, CredentialViewSet
from registry.api.integrations import IntegrationPatch, IntegrationViewSet
from registry.api.service_serializers import INSTANCE_FIELDS, ServicePatch
from registry.api.services import ServiceViewSet
from tests import factories
from tests.support.alerts import make_channel
from tests.support.connections import make_connection
from tests.support.credentials import make_credential
from workflows.api.schedule_serializers import SchedulePatch
from workflows.api.schedules import ScheduleViewSet
from workflows.api.serializers import WorkflowPatch
from workflows.api.webhooks import WebhookPatch, WebhookViewSet
from workflows.api.workflows import WorkflowViewSet

Json = dict[str, Any]


def _as_answered(answer: Json) -> Json:
    return answer


@dataclass(frozen=True, kw_only=True)
class Case:
    """A resource: where it is, how it is made, and another value for each field.

    `merged` are the objects that are changed member by member. `fixed` fields can be given but not
    changed, `hidden` ones are not answered, and `along` is what a change of one takes with it.
    `paired` ones cannot be taken away without another, which the refusal may name instead.
    `shown` reads the fields out of an answer, under the names they are written with; `setup` makes
    what they refer to.
    """

    name: str
    view: type
    reader: type[PatchSerializer]
    path: str
    made: Json
    other: Json
    merged: frozenset[str] = frozenset()
    shown: Callable[[Json], Json] = _as_answered
    hidden: frozenset[str] = frozenset()
    fixed: frozenset[str] = frozenset()
    along: Mapping[str, Json] = field(default_factory=dict)
    paired: frozenset[str] = frozenset()
    setup: Callable[[], object] = lambda: None
    admin: str = ""

    def fields_in(self, answer: Json) -> Json:
        shown = self.shown(answer)
        return {name: shown.get(name) for name in self.made if name not in self.hidden}


def _service(answer: Json) -> Json:
    instance = answer["instances"][0] if answer["instances"] else {}
    actions = [{"name": each["name"], "path": each["path"]} for each in answer["actions"]]
    return {**answer, **{n: instance.get(n) for n in INSTANCE_FIELDS}, "actions": actions}


def _schedule(answer: Json) -> Json:
    return {**answer, "workflow": answer["workflow_name"]}


def _make_references() -> None:
    for name in ("first", "second"):
        make_credential("API_KEY", name=f"key-{name}")
        make_credential("HMAC_SIGNATURE", name=f"signing-{name}")
        workflow = factories.make_workflow(f"flow-{name}")
        version = workflow.versions.get()
        version.pk, version.number = None, 2
        version._state.adding = True
        version.save()
        factories.make_service(f"target-{name}", urls=("http://127.0.0.1:9",), actions=("act",))


def _make_signing_keys() -> None:
    _make_references()
    make_credential("HMAC_SIGNATURE", name="signing-third")


_STEPS = [{"id": "a", "type": "TRANSFORM", "output": {"x": 1}, "next": None}]
_OTHER_STEPS = [{"id": "a", "type": "TRANSFORM", "output": {"x": 2}, "next": None}]


def _make_providers() -> None:
    for name in ("first", "second"):
        connection = make_connection(name=f"provider-{name}")
        Model.objects.create(name=f"model-{name}", capabilities=["CHAT"], connection=connection)


CASES = [
    Case(
        name="model",
        view=ModelViewSet,
        reader=ModelPatch,
        path="/models",
        made={
            "name": "made", "provider": "CUSTOM", "display_name": "Made", "description": "One.",
            "capabilities": ["CHAT"], "status": "DEPRECATED", "connection": "provider-first",
            "provider_model": "theirs", "aliases": ["a/b", "c"], "max_tokens": 10,
            "token_limit": 20, "cost_per_token": 0.000001, "replacement": "other",
            "rpm": 60, "tpm": 1000,
            "configuration": {"timeout_seconds": 5, "on_disconnect": "DRAIN"},
            "metadata": {"team": "a", "city": "b"},
        },
        other={
            "name": "changed", "provider": "OLLAMA", "display_name": "Changed",
            "description": "Two.", "capabilities": ["CHAT", "EMBEDDING"], "status": "INACTIVE",
            "connection": "provider-second", "provider_model": "others", "aliases": [],
            "max_tokens": 11, "token_limit": 21, "cost_per_token": 0.5, "replacement": "more",
            "rpm": 61, "tpm": 1001,
            "configuration": {"timeout_seconds": 6}, "metadata": {"team": "c"},
        },
        merged=frozenset({"configuration", "metadata"}),
        fixed=frozenset({"provider"}),
        setup=_make_providers,
    ),
    Case(
        name="model route",
        view=RouteViewSet,
        reader=RoutePatch,
        path="/models/routes",
        made={
            "name": "made", "description": "One.", "strategy": "WEIGHTED",
            "targets": [{"model": "model-first", "weight": 3}], "fallback_on": ["RATE"],
            "max_attempts": 3, "deadline_seconds": 30.5,
        },
        other={
            "name": "changed", "description": "Two.", "strategy": "CHEAPEST",
            "targets": [{"model": "model-second", "weight": 1}], "fallback_on": [],
            "max_attempts": 2, "deadline_seconds": 20.5,
        },
        setup=_make_providers,
    ),
    Case(
        name="model budget",
        view=BudgetViewSet,
        reader=BudgetPatch,
        path="/models/budgets",
        made={
            "name": "made", "description": "One.", "scope": "PROJECT", "subject": "apollo",
            "period": "MONTH", "rolling_seconds": 3600, "token_limit": 1000, "cost_limit": 2.5,
            "request_limit": 5, "time_zone": "Europe/Berlin", "on_exceed": "WARN",
            "warn_at": [70],
        },
        other={
            "name": "changed", "description": "Two.", "scope": "USER", "subject": "gemini",
            "period": "DAY", "rolling_seconds": 7200, "token_limit": 1001, "cost_limit": 2.6,
            "request_limit": 6, "time_zone": "Asia/Tokyo", "on_exceed": "REJECT", "warn_at": [],
        },
    ),
    Case(
        name="prompt",
        view=PromptViewSet,
        reader=PromptPatch,
        path="/models/prompts",
        made={
            "name": "made", "description": "One.",
            "messages": [{"role": "user", "content": "Say {{what}}."}],
            "variables": [{"name": "what", "description": "", "default": "a"}],
        },
        other={
            "name": "changed", "description": "Two.",
            "messages": [{"role": "system", "content": "Say {{what}}!"}],
            "variables": [{"name": "what"}],
        },
    ),
    Case(
        name="content policy",
        view=ContentPolicyViewSet,
        reader=ContentPolicyPatch,
        path="/models/content-policies",
        made={
            "name": "made", "description": "One.", "keeps": "REDACTED", "retention_days": 3,
            "patterns": [{"name": "CUSTOMER", "pattern": "KD-[0-9]{6}"}],
        },
        other={
            "name": "changed", "description": "Two.", "keeps": "FULL", "retention_days": 4,
            "patterns": [],
        },
    ),
    Case(
        name="channel",
        view=ChannelViewSet,
        reader=ChannelPatch,
        path="/monitoring/channels",
        admin="monitoring_alertchannel",
        made={
            "name": "made", "type": "PAGERDUTY", "description": "One.", "enabled": True,
            "config": {"server": "https://events.example.org"},
            "secret": {"routing_key": "rk_0123456789"}, "min_severity": "WARNING",
            "subjects": ["SERVICE_DOWN", "CIRCUIT_OPEN"], "services": ["pay-*"], "tags": ["x"],
            "only_escalated": False,
            "send_resolved": True, "group_wait_seconds": 10, "group_interval_seconds": 60,
            "repeat_seconds": 3600, "per_minute": 5, "quiet_hours": ["22:00-07:00 MON,TUE"],
            "quiet_timezone": "Europe/Berlin", "quiet_min_severity": "WARNING",
        },
        other={
            "name": "changed", "type": "SLACK", "description": "Two.", "enabled": False,
            "config": {"server": "https://events.eu.example.org"},
            "secret": {"routing_key": "rk_9876543210"},
            "min_severity": "CRITICAL", "subjects": ["CONNECTION_ERROR"], "services": ["mail"],
            "tags": ["y"], "only_escalated": True, "send_resolved": False,
            "group_wait_seconds": 0,
            "group_interval_seconds": 90, "repeat_seconds": 0, "per_minute": 6,
            "quiet_hours": ["00:00-24:00 SAT,SUN"], "quiet_timezone": "UTC",
            "quiet_min_severity": "CRITICAL",
        },
        merged=frozenset({"config"}),
        hidden=frozenset({"secret"}),
        fixed=frozenset({"type"}),
    ),
    Case(
        name="escalation policy",
        view=EscalationViewSet,
        reader=EscalationPolicyPatch,
        path="/monitoring/escalations",
        setup=lambda: [make_channel(name) for name in ("boss", "phone")],
        made={
            "name": "made", "description": "One.", "enabled": False, "min_severity": "WARNING",
            "subjects": ["SERVICE_DOWN"], "services": ["a-*"], "tags": ["db"],
            "levels": [{"after_minutes": 10, "channels": ["boss"]}],
        },
        other={
            "name": "changed", "description": "Two.", "enabled": True, "min_severity": "CRITICAL",
            "subjects": ["CIRCUIT_OPEN"], "services": ["b-*"], "tags": ["web"],
            "levels": [{"after_minutes": 5, "channels": ["phone", "boss"]}],
        },
    ),
    Case(
        name="silence",
        view=SilenceViewSet,
        reader=SilencePatch,
        path="/monitoring/silences",
        made={
            "name": "made", "description": "One.", "subjects": ["SERVICE_DOWN"],
            "services": ["a-*"], "tags": ["db"], "about": ["shop"],
            "starts_at": "2090-01-01T00:00:00Z", "ends_at": "2090-03-01T00:00:00Z",
        },
        other={
            "name": "changed", "description": "Two.", "subjects": ["CIRCUIT_OPEN"],
            "services": ["b-*"], "tags": ["web"], "about": ["mail"],
            "starts_at": "2090-01-02T00:00:00Z", "ends_at": "2090-04-01T00:00:00Z",
        },
        admin="monitoring_alertsilence",
    ),
    Case(
        name="maintenance window",
        view=MaintenanceViewSet,
        reader=MaintenanceWindowPatch,
        path="/monitoring/maintenance",
        made={
            "name": "made", "description": "One.", "services": ["a-*"], "tags": ["db"],
            "types": ["CUSTOM"], "everything": True, "starts_at": "2090-01-01T00:00:00Z",
            "ends_at": "2090-03-01T00:00:00Z", "cron": "0 2 * * *", "duration_minutes": 30,
            "timezone": "Europe/Berlin", "suppress_alerts": False, "public": True,
        },
        other={
            "name": "changed", "description": "Two.", "services": ["b-*"], "tags": ["web"],
            "types": ["API_GATEWAY"], "everything": False, "starts_at": "2090-01-02T00:00:00Z",
            "ends_at": "2090-04-01T00:00:00Z", "cron": "0 3 * * 0", "duration_minutes": 40,
            "timezone": "UTC", "suppress_alerts": True, "public": False,
        },
        paired=frozenset({"cron"}),
    ),
    Case(
        name="objective",
        view=SloViewSet,
        reader=SloPatch,
        path="/monitoring/slos",
        made={
            "name": "made", "description": "One.", "service": "target-first", "kind": "LATENCY",
            "source": "CALLS", "action": "act", "target": 99.5, "window_days": 7,
            "threshold_ms": 300, "min_events": 5, "enabled": True,
        },
        other={
            "name": "changed", "description": "Two.", "service": "target-second",
            "kind": "AVAILABILITY", "source": "BOTH", "action": "", "target": 99,
            "window_days": 14, "threshold_ms": 400, "min_events": 6, "enabled": False,
        },
        paired=frozenset({"source"}),
        setup=_make_references,
    ),
    Case(
        name="status page",
        view=StatusPageViewSet,
        reader=StatusPagePatch,
        path="/monitoring/status-pages",
        made={
            "name": "made", "title": "Ours", "description": "One.", "visibility": "PUBLIC",
            "components": [{"service": "target-first", "name": "Shown", "group": "All"}],
            "maintenance": "COUNT_UP", "show_uptime": True, "show_outages": True,
        },
        other={
            "name": "changed", "title": "Theirs", "description": "Two.", "visibility": "KEY",
            "components": [{"service": "target-second"}], "maintenance": "COUNT_AS_IS",
            "show_uptime": False, "show_outages": False,
        },
        setup=_make_references,
    ),
    Case(
        name="check",
        view=HealthCheckViewSet,
        reader=HealthCheckPatch,
        path="/monitoring/checks",
        made={
            "name": "made", "kind": "HTTP", "description": "One.", "service": None,
            "url": "http://127.0.0.1:9/a", "interval_seconds": 60, "timeout_seconds": 4,
            "retry_seconds": 5, "failure_threshold": 2, "success_threshold": 1,
            "grace_seconds": 60,
            "request": {"method": "HEAD", "redirects": 2}, "conditions": {"keyword": "up"},
            "severity": "WARNING", "enabled": True, "owner": "ann", "tags": ["x"],
        },
        other={
            "name": "changed", "kind": "TCP", "description": "Two.", "service": "target-first",
            "url": "http://127.0.0.1:9/b", "interval_seconds": 61, "timeout_seconds": 6,
            "retry_seconds": 7, "failure_threshold": 3, "success_threshold": 2,
            "grace_seconds": 90,
            "request": {"method": "POST"}, "conditions": {"keyword": "well"},
            "severity": "CRITICAL", "enabled": False, "owner": "bob", "tags": ["y"],
        },
        merged=frozenset({"request", "conditions"}),
        fixed=frozenset({"kind", "service"}),
        setup=_make_references,
    ),
    Case(
        name="check of a job",
        view=HealthCheckViewSet,
        reader=HealthCheckPatch,
        path="/monitoring/checks",
        made={
            "name": "made", "kind": "PUSH", "cron": "0 3 * * *", "timezone": "Europe/Berlin",
            "grace_seconds": 60,
        },
        other={
            "name": "changed", "kind": "HTTP", "cron": "0 4 * * *", "timezone": "UTC",
            "grace_seconds": 90,
        },
        fixed=frozenset({"kind"}),
    ),
    Case(
        name="service",
        view=ServiceViewSet,
        reader=ServicePatch,
        path="/registry/services",
        admin="registry_service",
        made={
            "name": "made", "type": "API_GATEWAY", "description": "One.",
            "url": "http://127.0.0.1:9001", "health_url": "http://127.0.0.1:9001/up",
            "version": "1.0", "actions": [{"name": "act", "path": "/act"}],
            "metadata": {"team": "a", "city": "b"}, "tags": ["x", "y"], "criticality": "CRITICAL",
            "breaker": {"failure_threshold": 7, "recovery_seconds": 9},
            "limits": {"per_second": 5, "max_concurrency": 4}, "credential": "key-first",
            "probing": {"failure_threshold": 4, "interval_seconds": 60}, "status": "ONLINE",
            "liveness": "PROBE",
            "ttl_seconds": 300, "weight": 7, "zone": "here",
        },
        other={
            "name": "changed", "type": "WEB_DASHBOARD", "description": "Two.",
            "url": "http://127.0.0.1:9002", "health_url": "http://127.0.0.1:9001/other",
            "version": "2.0", "actions": [{"name": "other", "path": "/other"}],
            "metadata": {"team": "c"}, "tags": ["z"], "criticality": "NON_CRITICAL",
            "breaker": {"failure_threshold": 8}, "limits": {"per_second": 6},
            "credential": "key-second", "probing": {"failure_threshold": 5},
            "status": "MAINTENANCE", "ttl_seconds": 400, "weight": 8, "zone": "there",
            "liveness": "EITHER",
        },
        merged=frozenset({"metadata", "breaker", "limits", "probing"}),
        shown=_service,
        setup=_make_references,
    ),
    Case(
        name="connection",
        view=ConnectionViewSet,
        reader=ConnectionPatch,
        path="/registry/connections",
        admin="registry_connection",
        made={
            "name": "made", "type": "HTTP", "driver": "HTTP", "description": "One.",
            "base_url": "https://api.example.org", "credential": "key-first",
            "config": {"timeout_seconds": 3, "headers": {"X-One": "1", "X-Two": "2"}},
            "criticality": "CRITICAL",
            "breaker": {"failure_threshold": 7, "recovery_seconds": 9},
            "limits": {"per_second": 5, "max_concurrency": 4}, "check_interval_seconds": 900,
        },
        other={
            "name": "changed", "type": "GRAPHQL", "driver": "REDIS", "description": "Two.",
            "base_url": "https://api.example.org/v2", "credential": "key-second",
            "config": {"timeout_seconds": 4, "headers": {"X-Two": None}},
            "criticality": "NON_CRITICAL", "breaker": {"failure_threshold": 8},
            "limits": {"per_second": 6}, "check_interval_seconds": 600,
        },
        merged=frozenset({"config", "breaker", "limits"}),
        fixed=frozenset({"type", "driver"}),
        setup=_make_references,
    ),
    Case(
        name="connection to a host",
        view=ConnectionViewSet,
        reader=ConnectionPatch,
        path="/registry/connections",
        admin="registry_connection",
        made={
            "name": "made", "type": "CACHE", "driver": "REDIS", "host": "localhost", "port": 6390,
            "database": "3", "username": "robot", "config": {"tls": True, "timeout_seconds": 3},
        },
        other={
            "name": "changed", "type": "DATABASE", "driver": "MYSQL", "host": "127.0.0.1",
            "port": 6391, "database": "4", "username": "other", "config": {"timeout_seconds": 4},
        },
        merged=frozenset({"config"}),
        fixed=frozenset({"type", "driver"}),
    ),
    Case(
        name="credential",
        view=CredentialViewSet,
        reader=CredentialPatch,
        path="/registry/credentials",
        admin="registry_credential",
        made={
            "name": "made", "type": "HMAC_SIGNATURE", "description": "One.",
            "attributes": {"key_name": "k1", "algorithm": "sha512", "id_header": "X-Id",
                           "timestamp_header": "X-Time", "signature_header": "X-Sign",
                           "key_header": "X-Key"},
            "allowed_origins": ["https://api.example.org"], "expires_at": "2031-01-01T00:00:00Z",
            "secret": {"key": "signing-key-0123456789"},
        },
        other={
            "name": "changed", "type": "API_KEY", "description": "Two.",
            "attributes": {"key_name": "k2"}, "allowed_origins": [],
            "expires_at": "2032-01-01T00:00:00Z", "secret": {"key": "other-key-0123456789"},
        },
        merged=frozenset({"attributes"}),
        hidden=frozenset({"secret"}),
        fixed=frozenset({"type"}),
        along={"secret": {"expires_at": "2031-01-01T00:00:00Z"}},
    ),
    Case(
        name="API key",
        view=KeyViewSet,
        reader=KeyPatch,
        path="/keys",
        admin="core_apikey",
        made={
            "name": "made", "role": "SERVICE", "scopes": ["registry:read"],
            "requests_per_minute": 600, "networks": ["10.0.0.0/8"],
            "service_names": ["billing-*"], "service_types": ["PLANNING_SYSTEM"],
            "expires_at": "2031-01-01T00:00:00Z",
        },
        other={
            "name": "changed", "role": "AUDITOR", "scopes": [], "networks": [],
            "service_names": ["*"], "service_types": ["CUSTOM", "*"],
            "requests_per_minute": 0, "expires_at": "2032-01-01T00:00:00Z",
        },
    ),
    Case(
        name="integration",
        view=IntegrationViewSet,
        reader=IntegrationPatch,
        path="/registry/integrations",
        admin="registry_integration",
        made={
            "name": "made", "type": "DATA_SYNC", "status": "INACTIVE", "description": "One.",
            "source": "shop", "target": {"service": "target-first", "action": "act"},
            "request_mapping": {"a": "$.input.a", "b": None},
            "response_mapping": {"c": "$.output.c", "d": 1}, "unknown_fields": "STRIP",
            "config": {"timeout_seconds": 3, "error_after": 4}, "metadata": {"a": 1, "b": {"c": 2}},
        },
        other={
            "name": "changed", "type": "EVENT", "status": "ACTIVE", "description": "Two.",
            "source": "desk", "target": {"service": "target-second", "action": "act"},
            "request_mapping": {"a": None}, "response_mapping": "$.output.c",
            "unknown_fields": "PASS", "config": {"timeout_seconds": 5}, "metadata": {"a": 2},
        },
        merged=frozenset({"config", "metadata"}),
        setup=_make_references,
    ),
    Case(
        name="workflow",
        view=WorkflowViewSet,
        reader=WorkflowPatch,
        path="/workflows",
        admin="workflows_workflow",
        made={
            "name": "made", "description": "One.", "type": "DATA_PROCESSING", "status": "DRAFT",
            "retention": "LONG", "metadata": {"team": "a", "city": "b"}, "steps": _STEPS,
            "output": {"x": "$.steps.a.output.x", "y": None}, "timeout": 60, "concurrency": 2,
            "defaults": {"timeout": 20, "retry": {"max_attempts": 3}},
        },
        other={
            "name": "changed", "description": "Two.", "type": "CUSTOM", "status": "ACTIVE",
            "retention": "SHORT", "metadata": {"team": "c"}, "steps": _OTHER_STEPS,
            "output": {"z": None}, "timeout": 61, "concurrency": 3,
            "defaults": {"retry": {"max_attempts": None}},
        },
        merged=frozenset({"metadata"}),
    ),
    Case(
        name="workflow with a retry",
        view=WorkflowViewSet,
        reader=WorkflowPatch,
        path="/workflows",
        admin="workflows_workflow",
        made={"name": "made", "steps": _STEPS, "retry": {"max_attempts": 3, "jitter": False}},
        other={"name": "changed", "steps": _OTHER_STEPS, "retry": {"max_attempts": None}},
    ),
    Case(
        name="schedule",
        view=ScheduleViewSet,
        reader=SchedulePatch,
        path="/schedules",
        admin="workflows_workflowschedule",
        made={
            "name": "made", "description": "One.", "workflow": "flow-first", "version": 1,
            "cron": "5 4 * * *", "timezone": "Europe/Berlin", "overlap_policy": "ALLOW",
            "catch_up_policy": "ALL", "catch_up_limit": 7, "input": {"text": "a", "b": None},
            "context": {"tenant": "a", "user": "b"}, "priority": 5, "enabled": False,
            "starts_at": "2031-01-01T00:00:00Z", "ends_at": "2032-01-01T00:00:00Z",
        },
        other={
            "name": "changed", "description": "Two.", "workflow": "flow-second", "version": 2,
            "cron": "6 4 * * *", "timezone": "Asia/Tokyo", "overlap_policy": "SKIP",
            "catch_up_policy": "NONE", "catch_up_limit": 8, "input": {"text": None},
            "context": {"tenant": "c"}, "priority": 6, "enabled": True,
            "starts_at": "2031-02-01T00:00:00Z", "ends_at": "2032-02-01T00:00:00Z",
        },
        shown=_schedule,
        setup=_make_references,
    ),
    Case(
        name="webhook",
        view=WebhookViewSet,
        reader=WebhookPatch,
        path="/webhooks",
        admin="workflows_webhook",
        made={
            "name": "made", "description": "One.", "enabled": False, "credential": "signing-first",
            "old_credential": "signing-second", "effect": "SIGNAL", "workflow": "flow-first",
            "signal": "paid", "find_by": "EXECUTION_ID", "find": "$.input.id",
            "mapping": {"a": "$.input.a", "b": None},
        },
        other={
            "name": "changed", "description": "Two.", "enabled": True,
            "credential": "signing-third", "old_credential": "signing-third",
            "effect": "EXECUTION", "workflow": "flow-second", "signal": "sent",
            "find_by": "CORRELATION_ID", "find": "$.input.other", "mapping": {"a": None},
        },
        setup=_make_signing_keys,
    ),
]  # fmt: skip
