"""Workers: who runs the steps."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import admin
from django.utils import timezone
from unfold.decorators import display

from core.admin.base import HubAdmin, ReadOnlyMixin
from core.admin.formatting import moment
from workflows.models import Worker

SILENCE = timedelta(seconds=30)


@admin.register(Worker)
class WorkerAdmin(ReadOnlyMixin, HubAdmin):
    """Those that showed themselves last come first."""

    list_display = ("name", "state_label", "in_flight", "seen", "swept", "started")
    ordering = ("-seen_at",)
    fields = ("name", "state_label", "in_flight", "seen_at", "swept_at", "created_at")

    @display(description="State", label={"Up": "success", "Silent": "danger"})
    def state_label(self, worker: Worker) -> str:
        return "Up" if worker.seen_at > timezone.now() - SILENCE else "Silent"

    @display(description="Seen", ordering="seen_at")
    def seen(self, worker: Worker) -> str:
        return moment(worker.seen_at)

    @display(description="Swept")
    def swept(self, worker: Worker) -> str:
        return moment(worker.swept_at)

    @display(description="Started", ordering="created_at")
    def started(self, worker: Worker) -> str:
        return moment(worker.created_at)
