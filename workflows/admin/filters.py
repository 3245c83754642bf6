"""Filters of lists that grow: each is answered by an index."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import admin
from django.contrib.admin.options import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from core.admin.filters import RelatedFilter
from workflows.models import Webhook, Workflow

AGES = {
    "hour": ("Past hour", timedelta(hours=1)),
    "day": ("Past 24 hours", timedelta(days=1)),
    "week": ("Past 7 days", timedelta(days=7)),
    "month": ("Past 30 days", timedelta(days=30)),
}


class CreatedFilter(admin.SimpleListFilter):
    """Created within the last hour, day, week or month."""

    title = "created"
    parameter_name = "created"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        return [(key, words) for key, (words, _age) in AGES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet | None:
        age = AGES.get(self.value() or "")
        return queryset.filter(created_at__gte=timezone.now() - age[1]) if age else None


class WorkflowListFilter(RelatedFilter):
    """One workflow."""

    title = "workflow"
    parameter_name = "workflow"
    model = Workflow


class WebhookListFilter(RelatedFilter):
    """One webhook."""

    title = "webhook"
    parameter_name = "webhook"
    model = Webhook
