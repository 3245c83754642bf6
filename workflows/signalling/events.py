"""What happens to executions as events, by their history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from core.api.events import Event, TimedSource
from core.db.uuid7 import uuid7_at
from workflows.models import WorkflowEvent
from workflows.signalling.ends import NEWS

_MILLISECONDS_SHIFT = 80  # in a UUID of version 7


class ExecutionEvents(TimedSource):
    """Executions that start, stop, go on and end."""

    topic = "executions"
    scope = "workflows:read"
    news = NEWS

    def read_since(self, moment: datetime, most: int) -> Sequence[Event]:
        rows = WorkflowEvent.objects.filter(pk__gte=uuid7_at(moment)).order_by("pk")
        columns = ("pk", "kind", "execution_id", "execution__workflow_name", "execution__status")
        return [
            Event(self.topic, str(execution), name, kind, status, pk.int >> _MILLISECONDS_SHIFT)
            for pk, kind, execution, name, status in rows.values_list(*columns)[:most]
        ]
