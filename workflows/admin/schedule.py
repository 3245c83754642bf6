"""Schedules: when workflows run by the clock, what became of each tick, and running them now."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from core.admin.base import HubAdmin, SwitchedMixin, UnreadPartsMixin, actor_of, find_or_404
from core.admin.columns import status_column, text_column
from core.admin.dialogs import back_to, dialog_action, telling_refusals
from core.admin.formatting import NOTHING, moment, status_badge
from core.admin.pages import page_of, page_of_id, render_page
from core.admin.views import own_view
from core.exceptions import IntegrationError
from core.timetables import in_words, names_of_zones
from workflows import services
from workflows.admin.permissions import RunnableMixin, may_operate
from workflows.admin.schedule_forms import BackfillForm, ScheduleForm
from workflows.admin.schedule_page import learn_last_runs, preview_of, summary_of, typed_time
from workflows.models import RunOutcome, WorkflowExecution, WorkflowSchedule


@admin.register(WorkflowSchedule)
class WorkflowScheduleAdmin(RunnableMixin, SwitchedMixin, UnreadPartsMixin, HubAdmin):
    """The list of schedules, and the page of one."""

    is_managed_by_files = True
    form = ScheduleForm
    refused_at = {"version": "version_number"}
    list_display = ("name", "state_label", "workflow_name", "when", "next_label", "last_label")
    list_filter = ("enabled", "overlap_policy")
    search_fields = ("name", "workflow__name")
    search_help_text = "Name or workflow"
    ordering = ("name",)
    autocomplete_fields = ("workflow",)
    readonly_fields = ("preview", "owner", "created_at", "updated_at")
    change_form_outer_before_template = "console/schedule_summary.html"
    actions = ("enable_selected", "disable_selected")
    actions_detail = ("run_now", "enable", "disable", "backfill")
    fieldsets = (
        (None, {"fields": ("name", "workflow", "version_number", "description", "enabled")}),
        ("When", {"fields": ("cron", "timezone", "preview", "starts_at", "ends_at")}),
        (
            "How",
            {"fields": ("overlap_policy", "catch_up_policy", "catch_up_limit", "priority")},
        ),
        ("What", {"fields": ("input", "context", "owner", "created_at", "updated_at")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[WorkflowSchedule]:
        return WorkflowSchedule.objects.with_workflow()

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        learn_last_runs(changelist.result_list)
        return changelist

    state_label = status_column("State", "state", ordering="enabled")
    workflow_name = text_column("Workflow", "workflow.name", ordering="workflow__name")

    @display(description="When")
    def when(self, schedule: WorkflowSchedule) -> str:
        return f"{in_words(schedule.cron)}, {schedule.timezone}"

    @display(description="Next run", ordering="next_run_at")
    def next_label(self, schedule: WorkflowSchedule) -> str:
        return moment(schedule.next_run_at if schedule.enabled else None)

    @display(description="Last run")
    def last_label(self, schedule: Any) -> str:
        run = getattr(schedule, "last_run", None)
        if run is None:
            return NOTHING
        return status_badge(run.execution.status if run.execution else run.outcome)

    @display(description="In words")
    def preview(self, schedule: WorkflowSchedule | None) -> str:
        cron, zone = (schedule.cron, schedule.timezone) if schedule and schedule.cron else ("", "")
        times = {"starts_at": schedule.starts_at, "ends_at": schedule.ends_at} if schedule else {}
        return render_to_string("console/schedule_preview.html", preview_of(cron, zone, **times))

    # The page of one

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        shown = {**context, "timezones": sorted(names_of_zones())}
        return super().render_change_form(request, shown, *args, **kwargs)

    def summary(self, request: HttpRequest, row: WorkflowSchedule) -> dict[str, Any]:
        return {**summary_of(row), "may_run": self.has_run_permission(request)}

    @own_view("preview/", name="schedule_preview", methods=["GET"], permissions=["view"])
    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """Return what the times in the form mean, while somebody types them."""
        typed = request.GET
        times = {name: typed_time(typed, name) for name in ("starts_at", "ends_at")}
        context = preview_of(typed.get("cron", ""), typed.get("timezone", ""), **times)
        return render(request, "console/schedule_preview.html", context)

    def save_model(
        self, request: HttpRequest, obj: WorkflowSchedule, form: Any, change: bool
    ) -> None:
        names = ScheduleForm.Meta.fields
        fields = {name: form.cleaned_data[name] for name in names if name in form.cleaned_data}
        fields["version"] = form.cleaned_data.get("version_number")
        who: dict[str, Any] = {"actor": actor_of(request), "may_operate": may_operate(request)}
        if change:
            services.update_schedule(obj, fields, **who)
        else:
            services.create_schedule({"id": obj.pk, **fields}, **who)
            obj._state.adding = False

    def delete_model(self, request: HttpRequest, obj: WorkflowSchedule) -> None:
        services.delete_schedule(obj, actor=actor_of(request))

    # Running, switching on and off

    def set_enabled(self, request: HttpRequest, row: WorkflowSchedule, enabled: bool) -> None:
        services.set_enabled(row, enabled, actor=actor_of(request))

    def hidden_actions(self, request: HttpRequest, object_id: str) -> tuple[str, ...]:
        is_off = self.get_queryset(request).filter(pk=object_id, enabled=False).exists()
        return ("disable",) if is_off else ("enable",)

    @dialog_action(
        "Run now",
        icon="play_arrow",
        variant=ActionVariant.PRIMARY,
        permission="run",
        title="Run this schedule now?",
        explanation="Starts an execution with its input, as its overlap policy allows.",
    )
    def run_now(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        schedule = find_or_404(self.get_queryset(request), object_id)
        url = page_of(schedule)
        with telling_refusals(request):
            run = services.run_now(schedule, actor=actor_of(request))
            if run.execution_id:
                url = page_of_id(WorkflowExecution, run.execution_id)
            else:
                tell = messages.error if run.outcome == RunOutcome.FAILED else messages.info
                tell(request, f"{run.get_outcome_display()}. {run.reason}")
        return back_to(url)

    @dialog_action(
        "Enable",
        icon="toggle_on",
        title="Switch this schedule on?",
        explanation="It goes on with its next tick; those of the time between are left out.",
    )
    def enable(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self.switch_one(request, object_id, enabled=True)

    @dialog_action(
        "Disable",
        icon="toggle_off",
        title="Switch this schedule off?",
        explanation="Nothing more is started by it. What runs goes on.",
    )
    def disable(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self.switch_one(request, object_id, enabled=False)

    @action(description="Backfill…", icon="history", permissions=["run"])
    def backfill(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to a page that asks."""
        return redirect(reverse("admin:schedule_backfill", args=(object_id,)))

    @own_view("<uuid:pk>/backfill/", name="schedule_backfill", permissions=["run", "view"])
    def backfill_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Ask for a time, say how many runs it makes, and make them when told to."""
        schedule = find_or_404(self.get_queryset(request), str(pk))
        form = BackfillForm(request.POST if request.method == "POST" else None)
        plan = self._plan(form, schedule) if form.is_valid() else None
        if plan is not None and plan.ticks and "start" in request.POST:
            backfill = services.start_backfill(
                schedule, **form.cleaned_data, actor=actor_of(request)
            )
            messages.success(request, f"{len(backfill.ticks)} runs are worked off in order.")
            return redirect(page_of(schedule))
        return render_page(
            self,
            request,
            "console/schedule_backfill.html",
            title=f"Backfill {schedule.name}",
            original=schedule,
            form=form,
            plan=plan,
            most=services.LARGEST_BACKFILL,
        )

    @staticmethod
    def _plan(form: BackfillForm, schedule: WorkflowSchedule) -> services.Backfill | None:
        try:
            return services.plan_backfill(schedule, **form.cleaned_data)
        except IntegrationError as error:
            form.add_error(None, error.message.removeprefix("to: ").removeprefix("from: "))
            return None

    @own_view("<uuid:pk>/give-up/", name="schedule_give_up", methods=["POST"], permissions=["run"])
    def give_up_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Give up the rest of a backfill or of catching up."""
        schedule = find_or_404(self.get_queryset(request), str(pk))
        count = services.cancel_backlog(schedule, actor=actor_of(request))
        messages.success(request, f"{count} runs given up.")
        return redirect(page_of(schedule))
