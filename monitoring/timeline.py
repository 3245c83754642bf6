"""The timeline of an incident: every change of it is an entry, in the transaction of the change."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from monitoring.models import Incident, IncidentUpdate, UpdateKind


def entry_on(
    incident: Incident,
    text: str,
    *,
    at: datetime,
    kind: UpdateKind = UpdateKind.STATUS,
    actor: str = "",
    page_status: str = "",
    public: bool = False,
) -> IncidentUpdate:
    """Return an entry, for who stores many at once. `actor` is empty where it is the hub."""
    return IncidentUpdate(
        incident=incident,
        kind=kind,
        text=text,
        at=at,
        actor=actor[:150],
        page_status=page_status,
        public=public,
    )


def add_entry(incident: Incident, text: str, **about: object) -> IncidentUpdate:
    """Append an entry; what it takes is said at `entry_on`."""
    entry = entry_on(incident, text, **about)  # type: ignore[arg-type]
    entry.save(force_insert=True)
    return entry


def add_entries(entries: Iterable[IncidentUpdate]) -> None:
    """Append many entries."""
    IncidentUpdate.objects.bulk_create(entries, batch_size=500)
