"""Schedules: when workflows are started by the clock."""

from __future__ import annotations

from typing import Any

from rest_framework.response import Response

from core.api.actions import nested_list, post_action
from core.api.named_resource import NamedResourceViewSet
from core.api.serializers import represent
from core.timetables import in_words
from workflows import services
from workflows.api.filters import RunFilter, ScheduleFilter
from workflows.api.schedule_serializers import (
    BackfillAnswer,
    BackfillInput,
    CancelledAnswer,
    PreviewAnswer,
    PreviewInput,
    RunSerializer,
    ScheduleInput,
    SchedulePatch,
    ScheduleSerializer,
)
from workflows.models import WorkflowSchedule, WorkflowScheduleRun


class ScheduleViewSet(NamedResourceViewSet):
    """`/schedules`."""

    queryset = WorkflowSchedule.objects.with_workflow()
    serializer_class = ScheduleSerializer
    input_class = ScheduleInput
    patch_class = SchedulePatch
    filterset_class = ScheduleFilter
    ordering_fields = ("name", "next_run_at", "last_run_at", "created_at", "updated_at")
    read_scope = "workflows:read"
    write_scope = "workflows:write"
    scopes = {
        "runs": read_scope,
        "preview": read_scope,
        "enable": write_scope,
        "disable": write_scope,
        "run": "workflows:execute",
        "backfill": "workflows:execute",
        "cancel_backlog": "workflows:execute",
    }

    def get_rows(self) -> Any:
        """The schedules, by name unless ordered otherwise."""
        return self.get_queryset().order_by("name")

    def find(self) -> WorkflowSchedule:
        """One schedule, by id or name, with its next five ticks."""
        return services.get_schedule(self.kwargs["pk"])

    def perform_create(self, fields: dict[str, Any]) -> WorkflowSchedule:
        """Store a schedule; it is enabled unless told otherwise."""
        schedule = services.create_schedule(fields, actor=self.actor, may_operate=self.may_operate)
        return services.get_schedule(str(schedule.pk))

    def perform_update(
        self, row: Any, fields: dict[str, Any], *, if_unchanged: bool
    ) -> WorkflowSchedule:
        """Change what is given; a change of the times begins from now."""
        services.update_schedule(
            row,
            fields,
            actor=self.actor,
            if_unchanged=if_unchanged,
            may_operate=self.may_operate,
        )
        return services.get_schedule(str(row.pk))

    def perform_destroy(self, row: Any, *, if_unchanged: bool) -> None:
        """Delete a schedule and the record of its runs; executions stay."""
        services.delete_schedule(row, actor=self.actor, if_unchanged=if_unchanged)

    @post_action(request=PreviewInput, responses=PreviewAnswer, detail=False)
    def preview(self, request: Any) -> Response:
        """Say what a cron expression means and when it is next due; store nothing."""
        data = self.read(PreviewInput)
        ticks = services.preview(**data)
        return Response({"words": in_words(data["cron"]), "next_runs": ticks})

    @post_action(responses=ScheduleSerializer)
    def enable(self, request: Any, pk: str) -> Response:
        """Switch on; ticks of the time when it was off are not made up for."""
        services.set_enabled(services.get_schedule(pk), True, actor=self.actor)
        return self.answer(services.get_schedule(pk))

    @post_action(responses=ScheduleSerializer)
    def disable(self, request: Any, pk: str) -> Response:
        """Switch off; executions go on, runs that wait do so until it is switched on."""
        services.set_enabled(services.get_schedule(pk), False, actor=self.actor)
        return self.answer(services.get_schedule(pk))

    @post_action(responses={201: RunSerializer})
    def run(self, request: Any, pk: str) -> Response:
        """Run now, as the overlap policy allows: 409 if it is to skip."""
        run = services.run_now(services.get_schedule(pk), actor=self.actor)
        return Response(represent(RunSerializer, run), status=201)

    @post_action(request=BackfillInput, responses={200: BackfillAnswer, 201: BackfillAnswer})
    def backfill(self, request: Any, pk: str) -> Response:
        """Run the ticks of a past time, in order; with `dry_run` only count them."""
        schedule = services.get_schedule(pk)
        data = self.read(BackfillInput)
        bounds = {"first": data["from"], "last": data["to"]}
        if data["dry_run"]:
            return Response(BackfillAnswer.of(services.plan_backfill(schedule, **bounds)))
        plan = services.start_backfill(schedule, **bounds, actor=self.actor)
        return Response(BackfillAnswer.of(plan), status=201)

    @post_action(responses=CancelledAnswer, url_path="backfill/cancel")
    def cancel_backlog(self, request: Any, pk: str) -> Response:
        """Give up the runs that a backfill, or catching up, has not started yet."""
        count = services.cancel_backlog(services.get_schedule(pk), actor=self.actor)
        return Response({"cancelled": count})

    @nested_list(
        RunSerializer,
        queryset=WorkflowScheduleRun.objects.all(),
        filterset_class=RunFilter,
        ordering_fields=("tick",),
    )
    def runs(self, request: Any, pk: str) -> Response:
        """What became of each tick, the latest recorded first."""
        rows = services.get_schedule(pk).runs.with_execution()
        return self.answer_page(rows.order_by("-id"), RunSerializer)
