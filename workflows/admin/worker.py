"""Workers: who runs the steps."""

from __future__ import annotations

from django.contrib import admin
from django.utils import timezone
from unfold.decorators import display

from core.admin.base import HubAdmin, ReadOnlyMixin
from core.admin.columns import moment_column
from workflows.models import Worker


@admin.register(Worker)
class WorkerAdmin(ReadOnlyMixin, HubAdmin):
    """Those that showed themselves last come first."""

    list_display = ("name", "state_label", "in_flight", "seen", "swept", "started")
    ordering = ("-seen_at",)
    fields = ("name", "state_label", "in_flight", "seen_at", "swept_at", "created_at")

    @display(description="State", label={"Up": "success", "Silent": "danger"})
    def state_label(self, worker: Worker) -> str:
        return "Up" if worker.is_alive(timezone.now()) else "Silent"

    seen = moment_column("Seen", "seen_at", ordering="seen_at")
    swept = moment_column("Swept", "swept_at")
    started = moment_column("Started", "created_at", ordering="created_at")
