"""What happens to executions as events, by their history."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from django.db.models import Max

from core.api.events import Event, TimedSource
from core.db.uuid7 import uuid7_at
from workflows.models import WorkflowEvent, WorkflowExecution
from workflows.signalling.ends import NEWS

# Of an execution that is followed by its id: it, or one of its steps, is further than before.
PROGRESSED = "PROGRESSED"
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


def progress_of(execution_ids: Collection[str]) -> list[Event]:
    """Return of each execution when it or a step of it was written last, as an event's mark."""
    rows = WorkflowExecution.objects.filter(pk__in=execution_ids).annotate(
        stepped_at=Max("steps__updated_at")
    )
    return [
        Event(
            ExecutionEvents.topic,
            str(pk),
            name,
            PROGRESSED,
            status,
            max(int(moment.timestamp() * 1e6) for moment in (updated_at, stepped_at) if moment),
        )
        for pk, name, status, updated_at, stepped_at in rows.values_list(
            "pk", "workflow_name", "status", "updated_at", "stepped_at"
        )
    ]
