"""Undoes an adoption: gives tables their names back, and removes what was made of their rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import QuerySet

from core.exceptions import IntegrationError
from core.failpoints import failpoint
from core.models import ApiKey, AuditVerb
from integration_site.adoption.conversion.executions import ACTOR
from integration_site.adoption.conversion.shapes_of_runs import RunShape
from integration_site.adoption.exclusive import only_run
from integration_site.adoption.inspection import inspect
from integration_site.adoption.plan import Say
from integration_site.adoption.record import OWN, AdoptionRecord, StepRecord
from integration_site.adoption.set_aside import NAME as SET_ASIDE
from integration_site.adoption.set_aside import drop_hub_tables, put_back
from integration_site.adoption.trail import tell
from model_orchestration.models import (
    Model,
    ModelBudget,
    ModelFeedback,
    ModelPerformance,
    ModelPerformanceHistory,
    ProviderQuota,
    QuotaWindow,
    Request,
)
from registry.discovery.change_log import record_change
from registry.models import (
    CircuitBreakerState,
    Connection,
    Credential,
    Integration,
    RegistryChangeKind,
    Service,
    ServiceAction,
    ServiceAlias,
    ServiceInstance,
)
from registry.services.status import refresh_status
from workflows.history.append_only import deletable_history
from workflows.models import Workflow, WorkflowExecution
from workflows.models.workflow import WorkflowType

BATCH = 2000
# By whom others are referred to come first.
_KINDS: tuple[tuple[str, Any], ...] = (
    ("integration", Integration),
    ("request", Request),
    ("model_feedback", ModelFeedback),
    ("model_performance_history", ModelPerformanceHistory),
    ("model_performance", ModelPerformance),
    ("window", QuotaWindow),
    ("quota", ProviderQuota),
    ("budget", ModelBudget),
    ("model", Model),
    ("connection", Connection),
    ("credential", Credential),
    ("alias", ServiceAlias),
    ("circuit", CircuitBreakerState),
    ("action", ServiceAction),
    ("instance", ServiceInstance),
    ("service", Service),
)
_MANY = ("request", "model_feedback", "model_performance_history", "model_performance")


class NotAgreed(IntegrationError):
    """Reverting would take away what was made since; that has to be said."""

    code = "not_agreed"
    status_code = 409


def revert(url: str, *, confirmed: bool, say: Say) -> bool:
    """Undo what was taken from a source; False if nothing was.

    Raises:
        NotAgreed: the hub's own tables go, with what was made in them, and that was not agreed to.
        AtWork: another run is at work.
    """
    with only_run():
        return _revert(url, confirmed=confirmed, say=say)


def _revert(url: str, *, confirmed: bool, say: Say) -> bool:
    if not AdoptionRecord.exists():
        return False
    record = AdoptionRecord(inspect(url).catalogue.label if url else OWN)
    steps = record.steps()
    if not steps:
        return False
    aside = steps.get(SET_ASIDE)
    if aside is not None and not aside.detail["had_hub"]:
        _check_agreed(confirmed)
        _drop_hub(record, aside)
        say("The hub's tables are gone, and the earlier ones are where they were.")
        return True
    _remove_rows(record, say)
    with transaction.atomic():
        if aside is not None:
            put_back(aside.detail["moved"])
        record.forget()
        _drop_record_if_empty(record)
        tell(AuditVerb.DELETED, record.source, "Given back", {})
        failpoint("M6")
    say("What was taken is gone from the hub.")
    return True


def _drop_hub(record: AdoptionRecord, aside: StepRecord) -> None:
    """Drop what the adoption made, in one transaction with putting back what was there before."""
    with _without_foreign_keys(), transaction.atomic():
        drop_hub_tables()
        failpoint("M6", SET_ASIDE)
        put_back(aside.detail["moved"])
        record.drop()
    failpoint("M7")


@contextmanager
def _without_foreign_keys() -> Iterator[None]:
    """On SQLite let tables be dropped in any order."""
    if connection.vendor == "postgresql":
        yield
        return
    with connection.constraint_checks_disabled():
        yield


def _check_agreed(confirmed: bool) -> None:
    made = made_since()
    if made and not confirmed:
        raise NotAgreed(
            "The hub's own tables go with it, and with them what was made since:"
            f" {', '.join(made)}. Say --confirm to agree."
        )


def made_since() -> list[str]:
    """Return what the hub holds that neither the adoption nor a first start made."""
    if not _is_migrated():
        return []
    counts = {
        "logins": max(get_user_model().objects.count() - 1, 0),
        "API keys": max(ApiKey.objects.count() - 1, 0),
        "executions": WorkflowExecution.objects.exclude(started_by=ACTOR).count(),
        "workflows": Workflow.objects.exclude(owner__in=(ACTOR, "catalog")).count(),
        "services": Service.objects.count() - len(_rows_of_any("service")),
    }
    return [f"{count:,} {what}" for what, count in counts.items() if count > 0]


def _rows_of_any(kind: str) -> list[UUID]:
    return [key for source in AdoptionRecord.sources() for key in AdoptionRecord(source).rows(kind)]


def _is_migrated() -> bool:
    with connection.cursor() as cursor:
        present = set(connection.introspection.table_names(cursor))
    needed = (get_user_model(), ApiKey, WorkflowExecution, Workflow, Service)
    return {model._meta.db_table for model in needed} <= present


def _remove_rows(record: AdoptionRecord, say: Say) -> None:
    executions = _executions_of(record)
    total = executions.count()
    while keys := list(executions.values_list("pk", flat=True)[:BATCH]):
        with deletable_history():
            WorkflowExecution.objects.filter(pk__in=keys).delete()
        failpoint("M6", "executions")
    if total:
        say(f"{'executions':<14} {total:,} removed")
    with transaction.atomic():
        unused = Workflow.objects.filter(pk__in=_workflow_ids(), executions__isnull=True)
        unused.delete()
        for kind, model in _KINDS:
            _remove_kind(record, kind, model)


def _executions_of(record: AdoptionRecord) -> QuerySet[WorkflowExecution]:
    rows = WorkflowExecution.objects.filter(workflow_id__in=_workflow_ids(), started_by=ACTOR)
    return rows.filter(context__earlier__source=record.source)


def _workflow_ids() -> list[UUID]:
    return [RunShape(type_, ()).workflow_id for type_ in WorkflowType.values]


def _remove_kind(record: AdoptionRecord, kind: str, model: Any) -> None:
    if kind in _MANY:
        _remove_many(model, record.rows(kind))
        return
    rows = list(model.objects.filter(pk__in=record.rows(kind)))
    if kind in ("action", "instance"):
        left = {row.service_id for row in rows} - set(record.rows("service"))
        model.objects.filter(pk__in=[row.pk for row in rows]).delete()
        for service in Service.objects.filter(pk__in=left):
            refresh_status(service, log_change=True)
        return
    for row in rows:
        if kind == "service":
            record_change(row, RegistryChangeKind.UNREGISTERED)
        row.delete()


def _remove_many(model: Any, keys: list[UUID]) -> None:
    for begin in range(0, len(keys), BATCH):
        model.objects.filter(pk__in=keys[begin : begin + BATCH]).delete()


def _drop_record_if_empty(record: AdoptionRecord) -> None:
    if not record.sources():
        record.drop()
