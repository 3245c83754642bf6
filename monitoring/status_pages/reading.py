"""Reads what a status page shows into a plain document: all that is told outside, and no more.

Words are those of the page, or of people who published them. Nothing of an address, an error or a
cause is in the document, so no form of it can tell one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import reduce
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, Q

from monitoring.checks.upkeep import covers, occurrences_between
from monitoring.models import (
    Incident,
    IncidentUpdate,
    MaintenanceOccurrence,
    OccurrenceState,
    PageStatus,
    StatusPage,
    Subject,
)
from monitoring.status_pages.words import (
    COMPONENT_WORDS,
    INDICATOR_WORDS,
    OUTAGES,
    indicator_of,
)
from monitoring.uptime.bars import bars_of, first_day
from monitoring.uptime.rollups import days_of
from registry.models import Service, ServiceStatus
from registry.policies.uptime import WHOLE_COVERAGE, Parts

INCIDENTS_SHOWN_FOR = timedelta(days=14)
MOST_INCIDENTS = 20
MOST_UPDATES = 50
PLANNED_AHEAD = timedelta(days=14)
MOST_PLANNED = 10

Document = dict[str, Any]


def read_page(page: StatusPage, *, now: datetime) -> Document:
    """Return what a page shows now, as JSON has it."""
    services = _services_of(page)
    planned = occurrences_between(now, now + PLANNED_AHEAD)
    under_way = [each for each in planned if each.starts_at <= now]
    components = [
        _component(each, service, _is_planned(service, under_way)) for each, service in services
    ]
    if page.show_uptime:
        _add_days(page, components, now)
    names = {UUID(each["id"]): each["name"] for each in components}
    incidents = _incidents(page, names, now)
    is_troubled = any(not each["resolved_at"] for each in incidents)
    indicator = indicator_of([each["status"] for each in components], is_troubled=is_troubled)
    return {
        "name": page.name,
        "title": page.heading,
        "description": page.description,
        "visibility": str(page.visibility),
        "made_at": now.isoformat(),
        "indicator": indicator,
        "words": INDICATOR_WORDS[indicator],
        "groups": _groups(components),
        "incidents": incidents,
        "maintenance": _maintenance(planned, services, names, now),
    }


def _services_of(page: StatusPage) -> list[tuple[Mapping[str, str], Service]]:
    ids = [each["service"] for each in page.components]
    rows = Service.objects.filter(pk__in=ids).only("name", "status", "tags", "type")
    found = {str(row.pk): row for row in rows}
    return [(each, found[each["service"]]) for each in page.components if each["service"] in found]


def _is_planned(service: Service, occurrences: Iterable[MaintenanceOccurrence]) -> bool:
    return any(covers(each.window, service) for each in occurrences)


def _component(each: Mapping[str, str], service: Service, planned: bool) -> Document:
    status = ServiceStatus.MAINTENANCE if planned else service.status
    return {
        "id": str(service.pk),
        "name": each.get("name") or service.name,
        "group": each.get("group", ""),
        "status": str(status),
        "words": COMPONENT_WORDS[ServiceStatus(status)],
    }


def _add_days(page: StatusPage, components: Sequence[Document], now: datetime) -> None:
    ids = [UUID(each["id"]) for each in components]
    found = days_of(ids, first=first_day(now), now=now)
    for each in components:
        parts = found[UUID(each["id"])]
        whole = reduce(Parts.__add__, parts.values(), Parts())
        bars = bars_of(parts, now=now, policy=page.maintenance)
        each["uptime"] = whole.percent(page.maintenance)
        each["partial"] = whole.seconds > 0 and whole.coverage < WHOLE_COVERAGE
        each["days"] = [[f"{bar.day:%Y-%m-%d}", bar.tone, bar.words] for bar in bars]


def _groups(components: Iterable[Document]) -> list[Document]:
    groups: dict[str, list[Document]] = {}
    for each in components:
        groups.setdefault(each["group"], []).append(each)
    return [{"name": name, "components": held} for name, held in groups.items()]


def _incidents(page: StatusPage, names: Mapping[UUID, str], now: datetime) -> list[Document]:
    shown = Q(public=True) & (Q(service__in=names) | Q(service=None))
    if page.show_outages:
        shown |= Q(subject__in=OUTAGES, service__in=names)
    lately = Q(resolved_at=None) | Q(resolved_at__gt=now - INCIDENTS_SHOWN_FOR)
    updates = IncidentUpdate.objects.filter(public=True).order_by("-at", "-id")
    rows = (
        Incident.objects.filter(shown, lately, merged_into=None)
        .order_by("-opened_at")
        .prefetch_related(Prefetch("updates", updates, to_attr="told"))
    )
    return [_incident(each, names) for each in rows[:MOST_INCIDENTS]]


def _incident(incident: Any, names: Mapping[UUID, str]) -> Document:
    about = names.get(incident.service_id, "")
    resolved = incident.resolved_at
    stage = PageStatus.RESOLVED if resolved else incident.page_status or PageStatus.INVESTIGATING
    general = OUTAGES.get(Subject(incident.subject), "Something is wrong")
    return {
        "id": str(incident.pk),
        "title": incident.title or (f"{about}: {general.lower()}" if about else general),
        "impact": str(incident.impact).lower(),
        "status": str(stage).lower(),
        "words": PageStatus(stage).label,
        "component": about,
        "started_at": incident.opened_at.isoformat(),
        "resolved_at": resolved and resolved.isoformat(),
        "updates": [
            {
                "status": str(update.page_status or stage).lower(),
                "words": PageStatus(update.page_status or stage).label,
                "text": update.text,
                "at": update.at.isoformat(),
            }
            for update in incident.told[:MOST_UPDATES]
        ],
    }


def _maintenance(
    planned: Iterable[MaintenanceOccurrence],
    services: Sequence[tuple[Mapping[str, str], Service]],
    names: Mapping[UUID, str],
    now: datetime,
) -> list[Document]:
    shown = []
    for each in planned:
        concerned = [names[row.pk] for _, row in services if covers(each.window, row)]
        over = each.state == OccurrenceState.COMPLETED
        if each.window.public and concerned and not over:
            shown.append(
                {
                    "id": str(each.pk),
                    "title": each.window.description.partition("\n")[0][:200]
                    or "Planned maintenance",
                    "status": "in_progress" if each.starts_at <= now else "scheduled",
                    "starts_at": each.starts_at.isoformat(),
                    "ends_at": each.ends_at.isoformat(),
                    "components": concerned,
                }
            )
    return shown[:MOST_PLANNED]
