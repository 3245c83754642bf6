"""Shows executions, and lets people cancel, retry, pause and decide them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.views.decorators.http import require_GET, require_POST
from unfold.decorators import display

from core.admin.base import (
    MAX_BULK,
    GrowingAdmin,
    ReadOnlyMixin,
    actor_of,
    find_or_404,
    run_on_each,
)
from core.admin.formatting import duration, moment, status_badge
from core.admin.pages import page_of_id, render_page
from core.exceptions import IntegrationError
from workflows import services
from workflows.admin.bulk import bulk_query
from workflows.admin.execution.approval_form import may_decide, read_answers
from workflows.admin.execution.failure_explanation import last_error, sentence_of
from workflows.admin.execution.page import executions_with_parts, page_of
from workflows.admin.execution.rerun import rerun_view
from workflows.admin.execution.review import settle
from workflows.admin.expression_trial import evaluate_view
from workflows.admin.filters import CreatedFilter, WorkflowListFilter
from workflows.admin.inbox import STOP_POLLING, address_of_outcome
from workflows.definition import read
from workflows.execution_filters import search_executions
from workflows.models import ExecutionStatus, WorkflowExecution, WorkflowStep
from workflows.step_paths import is_compensation

CONTROL = "workflows.change_workflowexecution"
MAX_COMMENT = 2000
SHORTCUTS = (
    ("All", ""),
    ("Running", ExecutionStatus.RUNNING),
    ("WaitingStep", ExecutionStatus.WAITING),
    ("Failed", ExecutionStatus.FAILED),
    ("Needs review", ExecutionStatus.NEEDS_REVIEW),
    ("Completed", ExecutionStatus.COMPLETED),
)


@admin.register(WorkflowExecution)
class WorkflowExecutionAdmin(ReadOnlyMixin, GrowingAdmin):
    """The list of runs, and the page of one."""

    list_display = ("label", "status_label", "started", "took", "started_by", "why")
    list_filter = ("status", "type", WorkflowListFilter, CreatedFilter)
    list_before_template = "console/execution_shortcuts.html"
    search_fields = ("id",)
    search_help_text = "Execution id, correlation id or workflow"
    ordering = ("-created_at", "-id")
    actions = ("cancel_selected", "retry_selected")

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

    @display(description="Took")
    def took(self, execution: WorkflowExecution) -> str:
        return duration(execution.started_at, execution.completed_at)

    @display(description="Why")
    def why(self, execution: WorkflowExecution) -> str:
        entry = last_error(execution.errors)
        if entry is None:
            return "–"
        sentence = sentence_of(entry)
        return format_html('<span class="hub-why" title="{}">{}</span>', sentence, sentence)

    # Cancelling and retrying

    def has_control_permission(self, request: HttpRequest) -> bool:
        """Return whether this person may cancel and retry."""
        return request.user.has_perm(CONTROL)

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

    def get_urls(self) -> list[URLPattern]:
        views = (
            ("live", require_GET(self.live_view)),
            ("cancel", require_POST(self.cancel_view)),
            ("retry", require_POST(self.retry_view)),
            ("pause", require_POST(self.pause_view)),
            ("resume", require_POST(self.resume_view)),
            ("decide", require_POST(self.decide_view)),
            ("undone", require_POST(self.undone_view)),
            ("settle", require_POST(self.settle_view)),
            ("rerun", partial(rerun_view, self)),
            ("evaluate", partial(evaluate_view, self)),
        )
        own = [
            path(f"<uuid:pk>/{name}/", self.admin_site.admin_view(view), name=f"execution_{name}")
            for name, view in views
        ]
        # Its own login check: a poll must learn that the session ended, not get the login page.
        own[0] = path("<uuid:pk>/live/", require_GET(self.live_view), name="execution_live")
        values = path(
            "steps/<uuid:pk>/values/",
            self.admin_site.admin_view(require_GET(self.step_values_view)),
            name="execution_step_values",
        )
        return [*own, values, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        execution = find_or_404(executions_with_parts(), object_id)
        if not self.has_view_permission(request, execution):
            raise PermissionDenied
        page = self._page(request, execution)
        return render_page(
            self,
            request,
            "console/execution.html",
            title=str(execution),
            original=execution,
            **page,
        )

    def live_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Return the part of the page that changes; reload the page without access or execution."""
        execution = executions_with_parts().filter(pk=pk).first()
        if execution is None or not self.has_view_permission(request, execution):
            return HttpResponse(status=STOP_POLLING, headers={"HX-Refresh": "true"})
        return render(request, "console/execution_live.html", self._page(request, execution))

    def step_values_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Input, output and error of one attempt, read only when somebody opens it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        step = get_object_or_404(WorkflowStep, pk=pk)
        return render(request, "console/step_values.html", {"step": step})

    def cancel_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        reason = request.POST.get("reason", "").strip()[:500]
        return self._control(
            request,
            pk,
            lambda: services.cancel_execution(pk, actor=actor_of(request), reason=reason),
            "Cancelled.",
        )

    def retry_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        return self._control(
            request,
            pk,
            lambda: services.retry_execution(pk, actor=actor_of(request)),
            "Running again from where it stopped.",
        )

    def pause_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        actor = actor_of(request)
        return self._control(
            request, pk, lambda: services.pause_execution(pk, actor=actor), "Paused."
        )

    def resume_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        actor = actor_of(request)
        return self._control(
            request, pk, lambda: services.resume_execution(pk, actor=actor), "Going on."
        )

    def undone_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Take a person's word that a step which could not be undone is undone."""
        step_path = request.POST.get("step", "").replace("\0", "")
        if not is_compensation(step_path):
            raise Http404
        return self._control(
            request,
            pk,
            lambda: services.settle_reviewed(pk, step_path, actor=actor_of(request)),
            "Recorded as undone. Going on with the rest.",
        )

    def decide_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Approve or reject; the service says who may decide what is asked of certain people."""
        # PostgreSQL stores no NUL.
        posted = {name: str(text).replace("\0", "") for name, text in request.POST.items()}
        step_path, approve = posted.get("step", ""), posted.get("decision") == "approve"
        form = self._form_asked(request, pk, step_path)

        def decide() -> None:
            services.decide_approval(
                pk,
                step_path,
                approve=approve,
                actor=actor_of(request),
                comment=posted.get("comment", "").strip()[:MAX_COMMENT],
                form=read_answers(form, posted) if approve else None,
            )

        return self._carry_out(request, pk, decide, "Approved." if approve else "Rejected.")

    def settle_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Complete or fail a step that needs a person."""
        posted = {name: str(text).replace("\0", "") for name, text in request.POST.items()}
        return self._control(
            request, pk, lambda: settle(pk, posted, actor=actor_of(request)), "Recorded."
        )

    def _form_asked(self, request: HttpRequest, pk: Any, step_path: str) -> Any:
        """Return the form of the step, if it asks this person.

        Raises:
            PermissionDenied: it does not.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        execution = get_object_or_404(WorkflowExecution.objects.select_related("version"), pk=pk)
        row = execution.steps.filter(path=step_path).order_by("-attempt").first()
        definition = read(execution.version.document).definition if execution.version else None
        step = definition.steps.get(row.step_id) if definition and row else None
        may_control = self.has_control_permission(request)
        if step is None or not may_decide(step, person=request.user, may_control=may_control):
            raise PermissionDenied
        return step.form

    def _control(
        self, request: HttpRequest, pk: Any, act: Callable[[], object], done: str
    ) -> HttpResponse:
        if not self.has_control_permission(request):
            raise PermissionDenied
        return self._carry_out(request, pk, act, done)

    def _carry_out(
        self, request: HttpRequest, pk: Any, act: Callable[[], object], done: str
    ) -> HttpResponse:
        try:
            act()
            messages.success(request, done)
        except IntegrationError as error:
            messages.error(request, error.message)
        if request.POST.get("from") == "inbox":
            return redirect(address_of_outcome(pk))
        return redirect(page_of_id(WorkflowExecution, pk))

    def _page(self, request: HttpRequest, execution: WorkflowExecution) -> dict[str, Any]:
        may_control = self.has_control_permission(request)
        page = page_of(execution, person=request.user, may_control=may_control)
        return {**page, "may_control": may_control}
