"""Shows executions, and lets people cancel, retry, pause and decide them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.html import format_html
from unfold.decorators import display

from core.admin.base import MAX_BULK, GrowingAdmin, ReadOnlyMixin, actor_of, run_on_each
from core.admin.columns import duration_column
from core.admin.dialogs import telling_refusals
from core.admin.formatting import NOTHING, moment, status_badge
from core.admin.pages import page_of_id
from core.admin.views import own_view
from workflows import services
from workflows.admin.bulk import bulk_query
from workflows.admin.execution.approval_form import may_decide, read_answers
from workflows.admin.execution.failure_explanation import last_error, sentence_of
from workflows.admin.execution.page import executions_with_parts, page_of
from workflows.admin.execution.rerun import rerun_view
from workflows.admin.execution.review import settle
from workflows.admin.expression_trial import evaluate_view
from workflows.admin.filters import CreatedFilter, WorkflowListFilter
from workflows.admin.inbox import address_of_outcome
from workflows.admin.live_page import LivePageMixin
from workflows.admin.permissions import ControlledMixin
from workflows.definition import read
from workflows.definition.step_paths import is_compensation
from workflows.models import ExecutionStatus, WorkflowExecution, WorkflowStep
from workflows.services.executions.filters import search_executions

MAX_COMMENT = 2000
SHORTCUTS = (
    ("All", ""),
    ("Running", ExecutionStatus.RUNNING),
    ("Waiting", ExecutionStatus.WAITING),
    ("Failed", ExecutionStatus.FAILED),
    ("Needs review", ExecutionStatus.NEEDS_REVIEW),
    ("Completed", ExecutionStatus.COMPLETED),
)


def _control(name: str) -> Callable[..., Any]:
    """Declare a view that a button of the page posts to, for who controls executions."""
    return own_view(
        f"<uuid:pk>/{name}/", name=f"execution_{name}", methods=["POST"], permissions=["control"]
    )


def _posted(request: HttpRequest) -> dict[str, str]:
    """Return the values of a form, without NUL, which PostgreSQL does not store."""
    return {name: str(text).replace("\0", "") for name, text in request.POST.items()}


@admin.register(WorkflowExecution)
class WorkflowExecutionAdmin(ControlledMixin, LivePageMixin, ReadOnlyMixin, GrowingAdmin):
    """The list of runs, and the page of one."""

    list_display = ("label", "status_label", "started", "took", "started_by", "why")
    list_filter = ("status", "type", WorkflowListFilter, CreatedFilter)
    list_before_template = "console/execution_shortcuts.html"
    search_fields = ("id",)
    search_help_text = "Execution id, correlation id or workflow"
    ordering = ("-created_at", "-id")
    actions = ("cancel_selected", "retry_selected")
    page_template = "console/execution.html"
    live_template = "console/execution_live.html"

    # The list

    def get_queryset(self, request: HttpRequest) -> QuerySet[WorkflowExecution]:
        return super().get_queryset(request).defer("input", "context", "output")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """Look only where an index answers."""
        term = search_term.strip()
        if not term:
            return queryset, False
        return search_executions(queryset, term), False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        current = request.GET.get("status__exact", "")
        shortcuts = [(word, status, status == current) for word, status in SHORTCUTS]
        more = {
            "shortcuts": shortcuts,
            "may_control": self.has_control_permission(request),
            "bulk_query": bulk_query(request),
        }
        return super().changelist_view(request, {**(extra_context or {}), **more})

    @display(description="Execution")
    def label(self, execution: WorkflowExecution) -> str:
        return format_html(
            '<span class="hub-nowrap">{} <span class="hub-id">{}</span></span>',
            execution.workflow_name,
            execution.short_id,
        )

    @display(description="Status")
    def status_label(self, execution: WorkflowExecution) -> str:
        return status_badge("QUEUED" if execution.is_queued else execution.status)

    @display(description="Started", ordering="created_at")
    def started(self, execution: WorkflowExecution) -> str:
        return moment(execution.started_at or execution.created_at)

    took = duration_column()

    @display(description="Why")
    def why(self, execution: WorkflowExecution) -> str:
        entry = last_error(execution.errors)
        if entry is None:
            return NOTHING
        sentence = sentence_of(entry)
        return format_html('<span class="hub-why" title="{}">{}</span>', sentence, sentence)

    # Cancelling and retrying

    @admin.action(description="Cancel", permissions=["control"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet) -> None:
        self._control_each(request, queryset, services.cancel_execution, "cancelled")

    @admin.action(description="Retry from the failed step", permissions=["control"])
    def retry_selected(self, request: HttpRequest, queryset: QuerySet) -> None:
        self._control_each(request, queryset, services.retry_execution, "set to run again")

    def _control_each(
        self, request: HttpRequest, queryset: QuerySet, act: Callable[..., object], done: str
    ) -> None:
        rows = list(queryset[: MAX_BULK + 1])
        if len(rows) > MAX_BULK:
            messages.warning(request, f"Only the first {MAX_BULK} were taken; repeat for the rest.")
        run_on_each(
            request, rows[:MAX_BULK], lambda row: act(row.pk, actor=actor_of(request)), done=done
        )

    # The page of one

    rerun = rerun_view
    evaluate = evaluate_view

    def page_rows(self) -> QuerySet[WorkflowExecution]:
        return executions_with_parts()

    def live_context(self, request: HttpRequest, row: WorkflowExecution) -> dict[str, Any]:
        may_control = self.has_control_permission(request)
        page = page_of(row, person=request.user, may_control=may_control)
        return {**page, "may_control": may_control}

    @own_view("<uuid:pk>/live/", name="execution_live", methods=["GET"], checks_login=True)
    def live_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Return the part of the page that changes."""
        return self.render_live(request, pk)

    @own_view(
        "steps/<uuid:pk>/values/",
        name="execution_step_values",
        methods=["GET"],
        permissions=["view"],
    )
    def step_values_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Return input, output and error of one attempt, read only when somebody opens it."""
        step = get_object_or_404(WorkflowStep, pk=pk)
        return render(request, "console/step_values.html", {"step": step})

    @_control("cancel")
    def cancel_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        reason = request.POST.get("reason", "").strip()[:500]
        cancel = partial(services.cancel_execution, reason=reason)
        return self._carry_out(request, pk, cancel, "Cancelled.")

    @_control("retry")
    def retry_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        words = "Running again from where it stopped."
        return self._carry_out(request, pk, services.retry_execution, words)

    @_control("pause")
    def pause_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return self._carry_out(request, pk, services.pause_execution, "Paused.")

    @_control("resume")
    def resume_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return self._carry_out(request, pk, services.resume_execution, "Going on.")

    @_control("undone")
    def undone_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Take a person's word that a step which could not be undone is undone."""
        path = _posted(request).get("step", "")
        if not is_compensation(path):
            raise Http404
        undo = partial(services.settle_reviewed, step_path=path)
        words = "Recorded as undone. Going on with the rest."
        return self._carry_out(request, pk, undo, words)

    @_control("settle")
    def settle_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Complete or fail a step that needs a person."""
        return self._carry_out(request, pk, partial(settle, posted=_posted(request)), "Recorded.")

    @own_view("<uuid:pk>/decide/", name="execution_decide", methods=["POST"], permissions=["view"])
    def decide_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Approve or reject; the service says who may decide what is asked of certain people."""
        posted = _posted(request)
        step_path, approve = posted.get("step", ""), posted.get("decision") == "approve"
        form = self._form_asked(request, pk, step_path)

        def decide(pk: UUID, *, actor: str) -> None:
            services.decide_approval(
                pk,
                step_path,
                approve=approve,
                actor=actor,
                comment=posted.get("comment", "").strip()[:MAX_COMMENT],
                form=read_answers(form, posted) if approve else None,
            )

        return self._carry_out(request, pk, decide, "Approved." if approve else "Rejected.")

    def _form_asked(self, request: HttpRequest, pk: Any, step_path: str) -> Any:
        """Return the form of the step, if it asks this person.

        Raises:
            PermissionDenied: it does not.
        """
        execution = get_object_or_404(WorkflowExecution.objects.select_related("version"), pk=pk)
        row = execution.steps.filter(path=step_path).order_by("-attempt").first()
        definition = read(execution.version.document).definition if execution.version else None
        step = definition.steps.get(row.step_id) if definition and row else None
        may_control = self.has_control_permission(request)
        if step is None or not may_decide(step, person=request.user, may_control=may_control):
            raise PermissionDenied
        return step.form

    def _carry_out(
        self, request: HttpRequest, pk: UUID, act: Callable[..., object], words: str
    ) -> HttpResponse:
        """Do something to an execution, say by `words` that it was done, or why it was refused."""
        with telling_refusals(request):
            act(pk, actor=actor_of(request))
            messages.success(request, words)
        if request.POST.get("from") == "inbox":
            return redirect(address_of_outcome(pk))
        return redirect(page_of_id(WorkflowExecution, pk))
