"""A hub with a row of everything, and the addresses of every page of its admin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model as Table
from django.test import RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from core.audit import Actor, acting
from core.models import LegacyCall
from integration_site.admin_groups import create_roles
from model_orchestration.adapters.base import ModelCall
from model_orchestration.catalog import limit_of_budget, limits_of_quota
from model_orchestration.content_store import SaidText, keep_contents
from model_orchestration.contents import ContentRules, describe
from model_orchestration.models import (
    ContentPolicy,
    Model,
    ModelBudget,
    ModelPrice,
    ModelRoute,
    ProviderQuota,
    QuotaWindow,
    Request,
    RequestType,
)
from model_orchestration.services.prompts import create_prompt
from monitoring.alerts.escalation_policies import create_policy
from monitoring.alerts.silencing import create_silence
from monitoring.maintenance.lifecycle import create_window
from monitoring.models import AlertNotice, Incident, Severity, Slo, StatusPage, StatusSpan, Subject
from registry.integrations.lifecycle import create_integration
from registry.models import (
    CircuitBreakerState,
    Connection,
    IntegrationExecution,
    RegistryChange,
    Service,
)
from tests import factories
from tests.support.alerts import make_channel, make_delivery
from tests.support.checks import make_check
from tests.support.connections import make_connection
from tests.support.credentials import make_credential
from workflows.models import (
    BulkOperation,
    PurgeRun,
    WebhookDelivery,
    Worker,
    WorkflowStep,
)
from workflows.services import create_schedule, create_webhook, update_workflow

APPROVAL: list[dict[str, Any]] = [
    {
        "id": "release",
        "name": "Release the payment",
        "type": "APPROVAL",
        "form": {
            "type": "object",
            "properties": {
                "amount": {"type": "number", "title": "Amount"},
                "urgent": {"type": "boolean", "title": "Urgent"},
                "account": {"type": "string", "enum": ["A", "B"], "title": "Account"},
            },
            "required": ["amount"],
        },
        "next": None,
    }
]
STEPS: list[dict[str, Any]] = [
    {"id": "read", "name": "Read the file", "service": "text-extraction", "action": "extract",
     "next": "count"},
    {"id": "count", "type": "TRANSFORM", "output": {"n": "$.input.n"}, "next": None},
]  # fmt: skip
ERROR = {
    "step": "read",
    "attempt": 2,
    "code": "service_unavailable",
    "message": "The service 'text-extraction' refused the connection.",
    "service": "text-extraction",
}
QUESTION = {"document": {"amount": 950.5, "to": "Miller & Sons", "note": None}, "decisions": []}


def make_hub() -> None:
    """Fill the tables: what is well, what is in trouble, what waits for a person."""
    create_roles()
    user = User.objects.create_user("asked", "asked@example.com", is_staff=True)
    user.groups.set(Group.objects.filter(name="viewer"))
    factories.make_key()
    with acting(Actor(kind="USER", name="root", reason="It is needed.")):
        _make_services()
        _make_connections()
        _make_workflows()
    _make_models()
    _make_upkeep()


def _make_services() -> None:
    made = [
        factories.make_service(
            "text-extraction", urls=("http://127.0.0.1:9", "http://127.0.0.1:19"),
            actions=("extract",), type="TOOL_INTEGRATION", version="1.4.0", owner="documents",
            description="Reads the text of files.", metadata={"codename": "bee"}, tags=["text"],
        ),
        factories.make_service("text-summarization", urls=("http://127.0.0.1:29",)),
        factories.make_service("mail", urls=("http://127.0.0.1:39",)),
    ]  # fmt: skip
    now = timezone.now()
    Service.objects.filter(name="mail").update(status="MAINTENANCE", maintenance_since=now)
    made[2].instances.update(status="ONLINE", last_answer_at=now - timedelta(seconds=11))
    for service, state in ((made[0], "FORCED_OPEN"), (made[2], "CLOSED")):
        CircuitBreakerState.objects.create(
            instance=service.instances.first(),
            state=state,
            failure_count=3,
            opened_at=timezone.now(),
            reason="It is being moved.",
            forced_by="root",
        )
    for service in made:
        RegistryChange.objects.create(
            service_id=service.pk, service_name=service.name, kind="STATUS_CHANGED", status="ONLINE"
        )


def _make_connections() -> None:
    make_credential("API_KEY", name="mail-key")
    make_credential("HMAC_SIGNATURE", name="signing")
    for status in ("CONNECTED", "ERROR"):
        connection = make_connection(name=f"shop-{status.lower()}", credential="mail-key")
        refused = "It refused the key." if status == "ERROR" else ""
        Connection.objects.filter(pk=connection.pk).update(status=status, last_error=refused)
    integration = create_integration(
        {
            "name": "shop-to-mail",
            "source": "shop",
            "target": {"service": "text-extraction", "action": "extract"},
        }
    )
    IntegrationExecution.objects.create(
        integration=integration,
        status="FAILED",
        started_at=timezone.now(),
        duration_ms=12,
        error=ERROR,
        actor="root",
    )


def _make_workflows() -> None:
    reading = factories.make_workflow("document-processing", STEPS)
    update_workflow(reading, {"steps": [*STEPS[:1], {**STEPS[1], "name": "Count"}]})
    reading.refresh_from_db()
    asking = factories.make_workflow("payment", APPROVAL)
    now = timezone.now()
    for status in ("COMPLETED", "FAILED", "RUNNING", "CANCELLED", "NEEDS_REVIEW"):
        run = factories.make_execution(
            reading,
            status=status,
            started_by="api:first-operator",
            started_at=now - timedelta(minutes=2),
            completed_at=None if status == "RUNNING" else now,
            errors=[ERROR] if status in ("FAILED", "NEEDS_REVIEW") else [],
            correlation_id="order-4711",
            input={"n": 1},
        )
        run.steps.update(
            step_id="read", path="read", name="Read the file", status=status,
            service="text-extraction", action="extract", started_at=now - timedelta(minutes=2),
            completed_at=run.completed_at, error=ERROR if run.errors else None, input={"n": 1},
        )  # fmt: skip
    for _ in range(2):  # two questions that are the same, but for what they are of
        waiting = factories.make_execution(asking, status="WAITING", started_at=now)
        waiting.steps.update(
            step_id="release", path="release", name="Release the payment", status="WAITING",
            input=QUESTION, started_at=now,
        )  # fmt: skip
    schedule = create_schedule({"name": "nightly", "workflow": reading, "cron": "0 9 * * *"})
    schedule.runs.create(tick=now, outcome="STARTED", kind="TICK")
    webhook = create_webhook({"name": "orders", "workflow": reading, "credential": "signing"})
    WebhookDelivery.objects.create(
        webhook=webhook, outcome="REFUSED", code="signature", reason="The signature is wrong."
    )


def _make_models() -> None:
    connection = Connection.objects.get(name="shop-connected")
    fields: dict[str, Any] = {"connection": connection, "provider": "CUSTOM"}
    for name, status in (("small", "ACTIVE"), ("large", "DEPRECATED")):
        model = Model.objects.create(name=name, status=status, capabilities=["CHAT"], **fields)
    ModelPrice.objects.create(
        model=model, input=Decimal("2.5"), output=Decimal(10), valid_from=timezone.now()
    )
    ModelRoute.objects.create(
        name="assistant", strategy="WEIGHTED",
        targets=[{"model": "small", "weight": 3}, {"model": "large"}],
    )  # fmt: skip
    create_prompt({
        "name": "summary", "messages": [{"role": "user", "content": "Sum up: {{text}}"}],
        "variables": [{"name": "text", "description": "What is summed up."}],
    })  # fmt: skip
    ContentPolicy.objects.create(
        name="shop", keeps="REDACTED", patterns=[{"name": "CUSTOMER", "pattern": "KD-[0-9]{6}"}]
    )
    budget = ModelBudget.objects.create(
        name="shop-a-month", scope="PROJECT", subject="shop", cost_limit=1, token_limit=5000
    )
    quota = ProviderQuota.objects.create(provider="CUSTOM", daily_cost_limit=Decimal("0.5"))
    for limit in (limit_of_budget(budget), *limits_of_quota(quota)):
        window = limit.window(timezone.now())
        QuotaWindow.objects.create(
            id=window.id, series=window.series, starts_at=window.starts_at, ends_at=window.ends_at,
            used_nanousd=450_000_000, reserved_nanousd=50_000_000, used_tokens=4500,
        )  # fmt: skip
    call = ModelCall(RequestType.CHAT, {"messages": [{"role": "user", "content": "Hello?"}]})
    for state, code in (("SETTLED", ""), ("FAILED", "provider_not_available"), ("CUT", "cut")):
        row = Request.objects.create(
            request_id=f"request-{state.lower()}", request_type="CHAT", model_id="small",
            model_asked="assistant", route="assistant", provider="CUSTOM", project_id="shop",
            caller="program", state=state, prompt_tokens=200, completion_tokens=12,
            total_tokens=212, usage_source="ESTIMATED", cost_nanousd=1_200_000,
            reserved_nanousd=9_000_000, latency_ms=800.0, first_token_ms=90.0,
            success=not code, error_code=code,
            error_message="The provider answered 503." if code else "",
            attempts=[
                {"model": "large", "milliseconds": 40.0, "error": "UNAVAILABLE", "status": 503},
                {"model": "small", "milliseconds": 760.0, "error": None, "status": None},
            ],
            request_data=describe(call),
        )  # fmt: skip
        answer = {"choices": [{"message": {"role": "assistant", "content": "Hello."}}]}
        keep_contents([SaidText(row.pk, ContentRules("REDACTED"), call, answer, 1)])


def _make_upkeep() -> None:
    now = timezone.now()
    Worker.objects.create(name="worker-1@host", in_flight=2, seen_at=now)
    BulkOperation.objects.create(
        action="RETRY", filter={"status": "FAILED"}, actor="root", created_before=now, total=4,
        done=2, succeeded=1, refused=1, started_at=now,
        refusals=[{"reason": "It has not failed.", "count": 1, "example": "-"}],
    )  # fmt: skip
    PurgeRun.objects.create(started_at=now, completed_at=now, executions=5, by_class={"SHORT": 5})
    LegacyCall.objects.create(route="POST /services", caller="first-operator", last_at=now)
    Incident.objects.create(
        subject=Subject.DISCOVERY_BACKEND,
        severity=Severity.CRITICAL,
        cause="Redis does not answer.",
        opened_at=now,
        dedup_key="DISCOVERY_BACKEND",
    )
    service = Service.objects.all()[0]
    StatusSpan.objects.create(service=service, status="OFFLINE", started_at=now)
    create_window(
        {"name": "nightly", "tags": ["db"], "cron": "0 2 * * *", "duration_minutes": 60,
         "timezone": "Europe/Berlin"}, actor="root",
    )  # fmt: skip
    create_silence(
        {"name": "quiet", "about": ["billing"], "ends_at": now + timedelta(hours=1)}, actor="root"
    )
    Slo.objects.create(name="well", service=service)
    service.needs.create(depends_on=Service.objects.exclude(pk=service.pk)[0])
    StatusPage.objects.create(name="ours", components=[{"service": str(service.pk)}])
    check = make_check("shop-front", conditions={"json": ["body.ok"]})
    check.states.update(state="DOWN", error="It answered 503.", latency_ms=12.5)
    check.results.create(checked_at=now, outcome="FAIL", error="It answered 503.", latency_ms=12.5)
    channel = make_channel(last_error="It answered 404.", failures=6)
    create_policy(
        {"name": "hours", "levels": [{"after_minutes": 10, "channels": [channel.name]}]},
        actor="root",
    )
    incident = Incident.objects.get()
    AlertNotice.objects.create(channel=channel, incident=incident, state="FIRING", told_at=now)
    for state in ("SENT", "DEAD"):
        make_delivery(channel, state=state, response="It answered 404.")


# --- Addresses ---

# What the addresses name beside the row of their model.
ARGUMENTS = {"app_label": "workflows", "decision": "acknowledge"}
KEYS = {"object_id", "pk", "id"}
# The page of an execution depends on its status most of all: it is there for each.
MANY = {"workflows_workflowexecution_change": 10}
# Pages that are the same for every model, but for its name: a few of them show as much as all.
ALIKE = ("history", "delete")
FEW = 3


def addresses(*, in_full: bool = True) -> Iterator[str]:
    """Every address of the admin: each route, for a row of the model that it is of.

    A route with an argument that nothing is known of ends the tests: say here what stands for it.
    """
    seen: Counter[str] = Counter()
    for route, pattern in _routes(get_resolver().namespace_dict["admin"][1].url_patterns):
        view = (pattern.name or "").rpartition("_")[2]
        if not pattern.name or pattern.name == "view_on_site" or not _is_allowed(route, view):
            continue
        seen[view] += 1
        if in_full or view not in ALIKE or seen[view] <= FEW:
            for arguments in _arguments(route, pattern):
                yield reverse(f"admin:{pattern.name}", kwargs=arguments)


def _is_allowed(route: str, view: str) -> bool:
    """Whether anybody may add or delete here: what only the program writes has no such pages."""
    of_model = {(m._meta.app_label, m._meta.model_name): a for m, a in admin.site._registry.items()}
    found = of_model.get(tuple(route.split("/")[:2]))  # type: ignore[arg-type]
    request = RequestFactory().get("/admin/")
    request.user = User(is_superuser=True, is_staff=True, is_active=True)
    if found is None or view not in ("add", "delete"):
        return True
    return bool(getattr(found, f"has_{view}_permission")(request))


def _routes(patterns: Any, before: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern.url_patterns, route)
        else:
            yield route, pattern


def _arguments(route: str, pattern: URLPattern) -> Iterator[dict[str, str]]:
    names = {*pattern.pattern.converters, *pattern.pattern.regex.groupindex}
    rest = {name: ARGUMENTS[name] for name in names - KEYS}
    keys = names & KEYS
    if not keys:
        yield rest
        return
    for row in _rows_for(route)[: MANY.get(pattern.name or "", 1)]:
        yield {**rest, keys.copy().pop(): str(row.pk)}


def _rows_for(route: str) -> list[Table]:
    """The rows that a route below a model's is about."""
    app, name, *more = route.split("/")
    model = ContentType.objects.get_by_natural_key(app, name).model_class()
    if more[0] == "steps":
        model = WorkflowStep
    assert model is not None
    rows = list(model._default_manager.all())
    assert rows, f"make_hub makes no {model.__name__}: let it make one."
    return rows
