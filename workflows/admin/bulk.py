"""Orders bulk operations from the list of executions, and shows how far each is."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from unfold.decorators import display

from core.admin.base import GrowingAdmin, ReadOnlyMixin, actor_of, find_or_404
from core.admin.columns import column, duration_column, moment_column, text_column
from core.admin.dialogs import telling_refusals
from core.admin.formatting import status_word
from core.admin.pages import page_of, render_page
from core.admin.views import own_view
from core.db.vocabulary import Vocabulary
from core.exceptions import IntegrationError
from core.instant_forms import InstantFormField
from workflows import services
from workflows.admin.filters import AGES
from workflows.admin.live_page import LivePageMixin
from workflows.admin.permissions import ControlledMixin
from workflows.models import (
    SUITED,
    BulkAction,
    BulkOperation,
    ExecutionStatus,
    Workflow,
    WorkflowType,
)
from workflows.services import BulkOrder
from workflows.services.executions.bulk_operations import MOST_EXECUTIONS

_HINTS = {
    BulkAction.RETRY: "each goes on from where it stopped, with fresh attempts",
    BulkAction.CANCEL: "each ends now, with its children; what it did stays done",
    BulkAction.PAUSE: "calls under way finish, nothing more begins",
    BulkAction.RESUME: "each goes on where it was paused",
}


def bulk_query(request: HttpRequest) -> str:
    """Return the filter of the list of executions, as the page of a new bulk operation takes it."""
    listed_by = request.GET
    age = AGES.get(listed_by.get("created", ""))
    criteria = {
        "status": listed_by.get("status__exact", ""),
        "type": listed_by.get("type__exact", ""),
        "workflow": listed_by.get("workflow", ""),
        "search": listed_by.get("q", "").strip(),
        "created_after": (timezone.now() - age[1]).isoformat() if age else "",
    }
    return urlencode({name: value for name, value in criteria.items() if value})


class WordField(forms.CharField):
    """A value of an enum, in any case."""

    def __init__(self, vocabulary: type[Vocabulary], **kwargs: Any) -> None:
        self.vocabulary = vocabulary
        super().__init__(required=False, **kwargs)

    def clean(self, value: Any) -> str:
        text = super().clean(value)
        try:
            return self.vocabulary.parse(text).value if text else ""
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None


class FilterForm(forms.Form):
    """What the list was filtered by."""

    status = WordField(ExecutionStatus)
    type = WordField(WorkflowType)
    workflow = forms.UUIDField(required=False)
    search = forms.CharField(required=False, max_length=200)
    created_after = InstantFormField(required=False)

    def criteria(self) -> dict[str, Any]:
        """Return the filter as it is kept with the operation."""
        values = {name: self.cleaned_data[name] for name in self.base_fields}
        kept = {name: value for name, value in values.items() if value}
        for name in ("status", "type"):
            if name in kept:
                kept[name] = [kept[name]]
        if "workflow" in kept:
            kept["workflow"] = str(kept["workflow"])
        if "created_after" in kept:
            kept["created_after"] = kept["created_after"].isoformat()
        return kept


class OrderForm(forms.Form):
    """What is to be done, why, and how many executions the person saw."""

    action = forms.ChoiceField(choices=BulkAction.choices)
    reason = forms.CharField(required=False, max_length=500)
    expected_count = forms.IntegerField(min_value=0)


@admin.register(BulkOperation)
class BulkOperationAdmin(ControlledMixin, LivePageMixin, ReadOnlyMixin, GrowingAdmin):
    """Newest first; the page of one follows its progress."""

    list_display = ("label", "status_label", "progress", "who", "started", "took", "reason")
    list_filter = ("status", "action")
    ordering = ("-id",)
    page_template = "console/bulk.html"
    live_template = "console/bulk_live.html"

    label = column("Operation", str)
    who = text_column("Ordered by", "actor")
    started = moment_column("Ordered", "created_at")
    took = duration_column()

    @display(description="Done")
    def progress(self, operation: BulkOperation) -> str:
        refused = f", {operation.refused} refused" if operation.refused else ""
        return f"{operation.done} of {operation.total}{refused}"

    # The page of one, and ordering one

    def live_context(self, request: HttpRequest, row: BulkOperation) -> dict[str, Any]:
        return {
            "operation": row,
            "filter": filter_in_words(row.filter),
            "may_cancel": not row.has_ended and self.has_control_permission(request),
        }

    @own_view("<uuid:pk>/live/", name="bulk_live", methods=["GET"], checks_login=True)
    def live_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Return the part of the page that changes."""
        return self.render_live(request, pk)

    @own_view("<uuid:pk>/cancel/", name="bulk_cancel", methods=["POST"], permissions=["control"])
    def cancel_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        operation = find_or_404(BulkOperation.objects.all(), str(pk))
        with telling_refusals(request):
            services.cancel_bulk(operation.pk, actor=actor_of(request))
            messages.success(request, "Stopped. What was done stays done.")
        return redirect(page_of(operation))

    @own_view("new/", name="bulk_new", permissions=["control"])
    def new_view(self, request: HttpRequest) -> HttpResponse:
        """Say what the filter selects; on POST, order it."""
        filters = FilterForm(request.GET)
        if not filters.is_valid():
            messages.error(request, "The filter cannot be read; choose it anew.")
            return redirect("admin:workflows_workflowexecution_changelist")
        criteria = filters.criteria()
        if request.method == "POST":
            operation = _start(request, criteria)
            if operation is not None:
                return redirect(page_of(operation))
        choices = _choices(request, criteria)
        return render_page(
            self,
            request,
            "console/bulk_new.html",
            title="Act on all that match",
            filter=filter_in_words(criteria),
            choices=choices,
            chosen=next((c["action"] for c in choices if c["count"]), ""),
            most=MOST_EXECUTIONS,
            reason=request.POST.get("reason", "")[:500],
        )


def filter_in_words(criteria: dict[str, Any]) -> list[tuple[str, str]]:
    """Return a stored filter as a person reads it; one query for the workflow's name."""
    words = [
        (name.capitalize(), ", ".join(map(status_word, criteria[name])))
        for name in ("status", "type")
        if criteria.get(name)
    ]
    if criteria.get("workflow"):
        names = Workflow.objects.filter(pk=criteria["workflow"]).values_list("name", flat=True)
        words.append(("Workflow", next(iter(names), "deleted meanwhile")))
    for name, label in (
        ("correlation_id", "Correlation"),
        ("search", "Search"),
        ("created_after", "Created after"),
        ("created_before", "Created before"),
    ):
        if criteria.get(name):
            words.append((label, str(criteria[name])[:100].replace("T", " ")))
    return words


def _order(request: HttpRequest, action: BulkAction, criteria: dict[str, Any]) -> BulkOrder:
    reason = request.POST.get("reason", "").replace("\0", "").strip()[:500]
    return BulkOrder(action=action, filter=criteria, actor=actor_of(request), reason=reason)


def _choices(request: HttpRequest, criteria: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each action with how many executions it would be about."""
    return [
        {
            "action": action.value,
            "label": action.label,
            "count": services.count_bulk(_order(request, action, criteria)),
            "states": ", ".join(status_word(s).lower() for s in SUITED[action]),
            "hint": _HINTS[action],
        }
        for action in BulkAction
    ]


def _start(request: HttpRequest, criteria: dict[str, Any]) -> BulkOperation | None:
    """Start what was ordered; None when it was refused, which the person is told."""
    action = request.POST.get("action", "")
    form = OrderForm({**request.POST.dict(), "expected_count": request.POST.get(f"count-{action}")})
    if not form.is_valid():
        messages.error(request, "Choose what to do.")
        return None
    order = _order(request, BulkAction(form.cleaned_data["action"]), criteria)
    try:
        return services.start_bulk(order, expected_count=form.cleaned_data["expected_count"])
    except IntegrationError as error:
        messages.error(request, error.message)
        return None
