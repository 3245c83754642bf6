"""Writes on incidents of which outage they are a part, so that people see why nobody was told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from monitoring.alerts.decide import find_causes
from monitoring.alerts.holding import troubles_of
from monitoring.models import Incident, Suppression
from monitoring.timeline import add_entry


def note_causes(needs: Mapping[UUID, Sequence[UUID]], *, now: datetime) -> None:
    """Write the outages that hold back others, and take back those that are over."""
    rows = Incident.objects.unresolved().filter(service__isnull=False)
    if not needs:
        rows = rows.filter(suppressed_reason=Suppression.DEPENDENCY)
    open_ = {each.pk: each for each in rows}
    causes = find_causes(troubles_of(open_.values()), needs)
    for key, incident in open_.items():
        cause = open_[causes[key]] if key in causes else None
        is_ours = incident.suppressed_reason in ("", Suppression.DEPENDENCY)
        if is_ours and incident.suppressed_by_id != (cause.pk if cause else None):
            _note(incident, cause, now=now)


def _note(incident: Incident, cause: Incident | None, *, now: datetime) -> None:
    """Write one; of two sweeps, one does."""
    with transaction.atomic():
        as_read = Incident.objects.unresolved().filter(
            pk=incident.pk, suppressed_by=incident.suppressed_by_id
        )
        changed = as_read.update(
            suppressed_by=cause,
            suppressed_reason=Suppression.DEPENDENCY if cause else "",
            updated_at=now,
        )
        if not changed:
            return
        text = (
            f"Nobody is told of it by itself: '{cause.about}', which it needs, is down."
            if cause
            else "What it needs is back: it is told of by itself if it stays."
        )
        add_entry(incident, text, at=now)
