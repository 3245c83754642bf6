"""Searches the console: pages of the menu, and rows by name, id, URL or correlation.

Each kind is asked only if this person may see it, and gives a few. Tables that grow without end
are asked by an index, or in their latest rows; the others are small enough to be read through.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Case, IntegerField, Q, QuerySet, Value, When
from django.db.models import Model as Table
from django.http import HttpRequest
from django.urls import reverse

from core.admin.formatting import status_word
from core.models import ApiKey
from integration_site.console.navigation import may_see, sidebar
from model_orchestration.models import ContentPolicy, Model, ModelBudget, ModelRoute, Prompt
from monitoring.checks.standing import state_of
from monitoring.models import (
    AlertChannel,
    AlertSilence,
    EscalationPolicy,
    HealthCheck,
    MaintenanceWindow,
    Slo,
    StatusPage,
)
from registry.models import (
    Connection,
    Credential,
    Integration,
    Service,
    ServiceAction,
    ServiceInstance,
)
from workflows.models import Webhook, Workflow, WorkflowExecution, WorkflowSchedule
from workflows.services.executions.filters import with_short_id

MOST_PER_SECTION = 5
MOST_WORKFLOWS = 3
LONGEST_TEXT = 200
SHORTEST_NAME = 2
_PART_OF_ID = re.compile(r"[0-9a-f]{6,32}\Z")


@dataclass(frozen=True)
class Hit:
    """A page that the text leads to."""

    title: str
    kind: str
    icon: str
    link: str
    detail: str = ""


@dataclass(frozen=True)
class Section:
    """Rows of one model that can be searched; the permission is that to see the model."""

    model: type[Table]
    icon: str
    find: Callable[[str], Iterable[Table]]
    detail: Callable[[Any], str] = lambda row: ""
    title: Callable[[Any], str] = str


def search_console(request: HttpRequest, text: str) -> list[Hit]:
    """Return the hits that this person may see, pages of the menu first."""
    text = text[:LONGEST_TEXT]
    hits = [*_entries(request, text.lower())]
    if len(text) >= SHORTEST_NAME:
        for section in SECTIONS:
            if may_see(request, section.model._meta.label_lower):
                hits.extend(_hit(section, row) for row in section.find(text))
    return hits


def _entries(request: HttpRequest, text: str) -> Iterator[Hit]:
    for group in sidebar(request):
        for item in group["items"]:
            if text in item["name"].lower():
                yield Hit(item["name"], "Page", item["icon"], str(item["link"]))


def _hit(section: Section, row: Table) -> Hit:
    opts = row._meta
    link = reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=(row.pk,))
    name = str(opts.verbose_name)
    word = name if name[:2].isupper() else name.capitalize()
    return Hit(section.title(row), word, section.icon, link, section.detail(row))


def _named(model: type[Table], field: str = "name") -> Callable[[str], QuerySet[Any]]:
    """Find rows by a part of a name: whose name it is first, then whose name begins so."""

    def find_named(text: str) -> QuerySet[Any]:
        rows = model._default_manager.filter(**{f"{field}__icontains": text})
        return _closest_first(rows, field, text)

    return find_named


def _closest_first(rows: QuerySet[Any], field: str, text: str) -> QuerySet[Any]:
    closeness = Case(
        When(**{f"{field}__iexact": text}, then=Value(0)),
        When(**{f"{field}__istartswith": text}, then=Value(1)),
        default=Value(2),
        output_field=IntegerField(),
    )
    return rows.order_by(closeness, field)[:MOST_PER_SECTION]


def _instances(text: str) -> QuerySet[ServiceInstance]:
    rows = ServiceInstance.objects.filter(Q(url__icontains=text) | Q(service__name__icontains=text))
    return _closest_first(rows.select_related("service"), "url", text)


def _actions(text: str) -> QuerySet[ServiceAction]:
    rows = ServiceAction.objects.filter(name__icontains=text).select_related("service")
    return _closest_first(rows, "name", text)


def _executions(text: str) -> list[WorkflowExecution]:
    """By id or a part of it, by correlation id, and the latest of workflows of that name."""
    rows = WorkflowExecution.objects.defer("input", "context", "output", "errors")
    executions = [*_by_id(rows, text.lower().replace("-", ""))]
    executions += rows.filter(correlation_id=text).order_by("-created_at")[:MOST_PER_SECTION]
    for workflow in _named(Workflow)(text)[:MOST_WORKFLOWS]:
        executions += rows.filter(workflow=workflow).order_by("-created_at")[:MOST_WORKFLOWS]
    return list({row.pk: row for row in executions}.values())[: 2 * MOST_PER_SECTION]


def _by_id(rows: QuerySet[WorkflowExecution], digits: str) -> Iterator[WorkflowExecution]:
    if not _PART_OF_ID.match(digits):
        return
    first, last = uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))
    yield from rows.filter(pk__gte=first, pk__lte=last).order_by("pk")[:MOST_PER_SECTION]
    yield from rows.filter(pk__in=with_short_id(digits).values("pk"))[:MOST_PER_SECTION]


def _status(row: Any) -> str:
    return status_word(row.status)


SECTIONS = (
    Section(Service, "dns", _named(Service), _status),
    Section(Workflow, "account_tree", _named(Workflow), _status),
    Section(
        WorkflowExecution,
        "play_circle",
        _executions,
        lambda row: f"{status_word(row.status)}, {row.created_at:%-d %b %Y, %H:%M} UTC",
    ),
    Section(Connection, "cable", _named(Connection), _status),
    Section(ServiceInstance, "lan", _instances, lambda row: row.service.name, lambda row: row.url),
    Section(ServiceAction, "bolt", _actions, title=lambda row: f"{row.service.name} · {row.name}"),
    Section(Integration, "conversion_path", _named(Integration), _status),
    Section(WorkflowSchedule, "schedule", _named(WorkflowSchedule)),
    Section(Webhook, "webhook", _named(Webhook)),
    Section(
        HealthCheck, "network_check", _named(HealthCheck), lambda row: status_word(state_of(row))
    ),
    Section(AlertChannel, "notifications", _named(AlertChannel), _status),
    Section(AlertSilence, "notifications_off", _named(AlertSilence), _status),
    Section(EscalationPolicy, "escalator", _named(EscalationPolicy), _status),
    Section(Slo, "target", _named(Slo)),
    Section(MaintenanceWindow, "construction", _named(MaintenanceWindow), _status),
    Section(StatusPage, "web", _named(StatusPage)),
    Section(Model, "neurology", _named(Model), _status),
    Section(ModelRoute, "alt_route", _named(ModelRoute)),
    Section(ModelBudget, "savings", _named(ModelBudget)),
    Section(Prompt, "edit_note", _named(Prompt)),
    Section(ContentPolicy, "visibility_lock", _named(ContentPolicy)),
    Section(Credential, "lock", _named(Credential)),
    Section(ApiKey, "key", _named(ApiKey)),
    Section(User, "person", _named(User, "username")),
)
