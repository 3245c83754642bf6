"""Changes of services as events, by the index of the log that watchers follow."""

from __future__ import annotations

from core.api.events import Event, Found
from registry.discovery.base import get_discovery
from registry.discovery.change_log import NEWS
from registry.discovery.database import MAX_CHANGES


class ServiceEvents:
    """Services that are registered, change, and go."""

    topic = "services"
    scope = "registry:read"
    news = NEWS
    is_ordered = True

    def newest(self) -> int:
        return get_discovery().latest_index()

    def find_after(self, mark: int) -> Found:
        changes = get_discovery().changes_after(mark)
        if not changes.complete or len(changes.entries) == MAX_CHANGES:
            return Found((), self.newest(), is_complete=False)
        events = [
            Event(
                self.topic,
                str(change.service_id),
                change.service_name,
                change.kind,
                change.status,
                change.index,
            )
            for change in changes.entries
        ]
        return Found(events, changes.index)
