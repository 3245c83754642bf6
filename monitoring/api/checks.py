"""Checks: what is looked at, how it is, and what was seen."""

from __future__ import annotations

from typing import Any

import django_filters
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from core.api.actions import nested_list, post_action
from core.api.fields import NumberField, ObjectField, VocabularyField
from core.api.idempotency import read_key
from core.api.named_resource import NamedResourceViewSet
from core.api.patches import PatchSerializer
from core.api.query_filters import NameFilter, SearchFilter, VocabularyFilter
from core.api.serializers import AnswerSerializer, StrictSerializer
from core.api.suspension import result_of
from core.api.viewsets import ResourceViewSet
from monitoring.api.response_times import (
    CheckTimesQuery,
    ResponseTimesAnswer,
    describe_times,
    read_window_of,
)
from monitoring.checks import lifecycle, trials
from monitoring.checks.push_tokens import push_url_of
from monitoring.checks.reading import PLANNED, plan_of
from monitoring.checks.standing import state_of
from monitoring.models import (
    CheckErrorKind,
    CheckKind,
    CheckOutcome,
    CheckSignal,
    CheckState,
    CheckStatus,
    HealthCheck,
    HealthCheckResult,
    Severity,
)
from monitoring.models.check import DAY_SECONDS, LONGEST_PERIOD
from monitoring.uptime.response_times import times_of_check

LONGEST_URL = 500


class CheckStateSerializer(AnswerSerializer):
    """How one subject of a check is."""

    instance = serializers.CharField(source="instance.url", default=None, allow_null=True)
    state = VocabularyField(CheckStatus)
    outcome = VocabularyField(CheckOutcome)
    error_kind = VocabularyField(CheckErrorKind)

    class Meta:
        model = CheckState
        fields = (
            "id", "instance", "state", "since", "flapping", "failures", "successes", "blips",
            "outcome", "error_kind", "error", "latency_ms", "certificate_expires_at", "started_at",
            "last_result_at", "next_due_at",
        )  # fmt: skip


class HealthCheckSerializer(AnswerSerializer):
    """A check in an answer; `plan` is by what numbers it is carried out."""

    kind = VocabularyField(CheckKind)
    service = serializers.CharField(source="service.name", default=None, allow_null=True)
    severity = VocabularyField(Severity)
    state = serializers.SerializerMethodField()
    plan = serializers.SerializerMethodField()
    request = ObjectField()
    conditions = ObjectField()
    tags = serializers.ListField(child=serializers.CharField())
    states = CheckStateSerializer(many=True)
    # Told with one check, to who may change it.
    push_url = serializers.CharField(default=None, allow_null=True)
    large = ("description", "plan", "request", "conditions", "tags", "states")
    whole_at = "/monitoring/checks/{row.pk}"

    class Meta:
        model = HealthCheck
        fields = (
            "id", "name", "description", "kind", "service", "url", "is_automatic", "enabled",
            "paused_until", "state", "interval_seconds", "timeout_seconds", "retry_seconds",
            "failure_threshold", "success_threshold", "plan", "cron", "timezone", "grace_seconds",
            "push_url", "request", "conditions", "severity", "owner", "tags", "states",
            "created_at", "updated_at",
        )  # fmt: skip

    def get_state(self, check: HealthCheck) -> str:
        return state_of(check)

    def get_plan(self, check: HealthCheck) -> dict[str, int]:
        plan = plan_of(check)
        return {name: getattr(plan, name) for name in (*PLANNED, "timeout_seconds")}


class HealthCheckInput(StrictSerializer):
    """A check as it is made or changed; the settings of request and conditions go by its kind."""

    name = serializers.CharField(max_length=100)
    kind = VocabularyField(CheckKind)
    description = serializers.CharField(max_length=5000, allow_blank=True, required=False)
    service = serializers.CharField(max_length=100, required=False, allow_null=True)
    url = serializers.CharField(max_length=LONGEST_URL, required=False, allow_blank=True)
    interval_seconds = serializers.IntegerField(
        min_value=5, max_value=LONGEST_PERIOD, required=False, allow_null=True
    )
    cron = serializers.CharField(max_length=100, required=False, allow_blank=True)
    timezone = serializers.CharField(max_length=64, required=False, allow_blank=True)
    grace_seconds = serializers.IntegerField(
        min_value=1, max_value=31 * DAY_SECONDS, required=False
    )
    timeout_seconds = serializers.IntegerField(min_value=1, max_value=60, required=False)
    retry_seconds = serializers.IntegerField(
        min_value=1, max_value=86_400, required=False, allow_null=True
    )
    failure_threshold = serializers.IntegerField(
        min_value=1, max_value=100, required=False, allow_null=True
    )
    success_threshold = serializers.IntegerField(
        min_value=1, max_value=100, required=False, allow_null=True
    )
    request = ObjectField(required=False)
    conditions = ObjectField(required=False)
    severity = VocabularyField(Severity, required=False)
    enabled = serializers.BooleanField(required=False)
    owner = serializers.CharField(max_length=100, required=False, allow_blank=True)
    tags = serializers.ListField(child=serializers.CharField(max_length=100), required=False)


class HealthCheckPatch(PatchSerializer, HealthCheckInput):
    """A change of a check; settings of request and conditions are changed one by one."""

    model = HealthCheck
    merged = frozenset({"request", "conditions"})


class SeenSerializer(serializers.Serializer[Any]):
    """What one look at one subject came to."""

    url = serializers.CharField()
    outcome = VocabularyField(CheckOutcome)
    error_kind = serializers.CharField(allow_blank=True)
    error = serializers.CharField(allow_blank=True)
    latency_ms = serializers.FloatField(allow_null=True)
    status_code = serializers.IntegerField(allow_null=True)
    certificate_expires_at = serializers.DateTimeField(allow_null=True)
    checked_at = serializers.DateTimeField()


class TrialAnswer(serializers.Serializer[Any]):
    """What a look at each subject of a check came to."""

    results = SeenSerializer(many=True)


class HealthCheckResultSerializer(AnswerSerializer):
    """One look that was recorded."""

    instance_id = serializers.UUIDField(allow_null=True)
    outcome = VocabularyField(CheckOutcome)
    error_kind = VocabularyField(CheckErrorKind)
    signal = VocabularyField(CheckSignal)
    large = ("message",)

    class Meta:
        model = HealthCheckResult
        fields = (
            "id", "instance_id", "checked_at", "outcome", "latency_ms", "status_code",
            "error_kind", "error", "signal", "message", "in_maintenance", "late_ms", "location",
        )  # fmt: skip


class JudgedInput(StrictSerializer):
    """An answer of HTTP, and what has to hold of it."""

    status = serializers.IntegerField(min_value=100, max_value=599)
    body = serializers.CharField(max_length=65_536, allow_blank=True, required=False)
    headers = ObjectField(required=False)
    latency_ms = NumberField(min_value=0, max_value=600_000, required=False)
    conditions = ObjectField(required=False)


class JudgedAnswer(serializers.Serializer[Any]):
    """How it would be judged."""

    outcome = VocabularyField(CheckOutcome)
    error_kind = serializers.CharField(allow_blank=True)
    error = serializers.CharField(allow_blank=True)


class HealthCheckFilter(django_filters.FilterSet):
    """Filters of the list of checks."""

    kind = VocabularyFilter(CheckKind)
    service = NameFilter("service__name")
    enabled = django_filters.BooleanFilter()
    search = SearchFilter("name__icontains", "description__icontains", "url__icontains")


class ResultFilter(django_filters.FilterSet):
    """Filters of what was seen."""

    outcome = VocabularyFilter(CheckOutcome)


class HealthCheckViewSet(NamedResourceViewSet):
    """`/monitoring/checks`."""

    queryset = HealthCheck.objects.select_related("service").prefetch_related("states__instance")
    serializer_class = HealthCheckSerializer
    input_class = HealthCheckInput
    patch_class = HealthCheckPatch
    filterset_class = HealthCheckFilter
    ordering_fields = ("name", "kind", "created_at", "updated_at")
    read_scope = "registry:read"
    write_scope = "registry:write"
    scopes = {
        "run": write_scope, "rotate_token": write_scope, "pause": write_scope,
        "resume": write_scope, "results": read_scope, "response_times": read_scope,
    }  # fmt: skip
    # A look under the same key is another look.
    own_keys = frozenset({"run"})

    def get_rows(self) -> Any:
        """The checks, by name unless ordered otherwise."""
        return self.get_queryset().order_by("name")

    def find(self) -> HealthCheck:
        """One check, by id or name."""
        return lifecycle.get_check(self.kwargs["pk"])

    def perform_create(self, fields: dict[str, Any]) -> HealthCheck:
        """Make a check; its first look is due within seconds."""
        return lifecycle.create_check(fields, actor=self.actor)

    def perform_update(self, row: Any, fields: dict[str, Any], *, if_unchanged: bool) -> Any:
        """Change what is given and leave the rest; null takes a setting away."""
        return lifecycle.update_check(row, fields, actor=self.actor, if_unchanged=if_unchanged)

    def perform_destroy(self, row: Any, *, if_unchanged: bool) -> None:
        """Delete a check with all that it saw; 409 for one that the hub made itself."""
        lifecycle.delete_check(row, actor=self.actor, if_unchanged=if_unchanged)

    @post_action(responses=TrialAnswer)
    def run(self, request: Any, pk: str) -> Response:
        """Look now, and answer what was seen; it is not recorded."""
        check = self.find()
        seen = result_of(request, "run", lambda: trials.begin_trial(check))
        return Response({"results": [trials.describe_seen(each) for each in seen]})

    def answer(self, row: Any, status: int = 200) -> Response:
        """Answer a check; the address that a job calls only to who may change it.

        Answers to an Idempotency-Key are kept for a day: an address is no part of them.
        """
        is_kept = self.takes_key and read_key(self.request)
        if self.caller.may(self.write_scope) and not is_kept:
            row.push_url = push_url_of(row, self.request)
        return super().answer(row, status)

    @post_action(responses=HealthCheckSerializer, url_path="rotate-token")
    def rotate_token(self, request: Any, pk: str) -> Response:
        """Give a job another address to call; the one before is known no more."""
        return self.answer(lifecycle.rotate_token(self.find(), actor=self.actor))

    @post_action(responses=HealthCheckSerializer)
    def pause(self, request: Any, pk: str) -> Response:
        """Look at nothing until it is resumed; 409 when it is paused already."""
        return self.answer(lifecycle.pause_check(self.find(), actor=self.actor))

    @post_action(responses=HealthCheckSerializer)
    def resume(self, request: Any, pk: str) -> Response:
        """Look at it again, within seconds; 409 when it is not paused."""
        return self.answer(lifecycle.resume_check(self.find(), actor=self.actor))

    @nested_list(
        HealthCheckResultSerializer,
        queryset=HealthCheckResult.objects.all(),
        filterset_class=ResultFilter,
    )
    def results(self, request: Any, pk: str) -> Response:
        """What was seen, the latest first."""
        rows = self.find().results.order_by("-id")
        return self.answer_page(rows, HealthCheckResultSerializer)

    @extend_schema(parameters=[CheckTimesQuery], responses=ResponseTimesAnswer)
    @action(
        detail=True, methods=["get"], url_path="response-times", filterset_class=None,
        pagination_class=None,
    )  # fmt: skip
    def response_times(self, request: Any, pk: str) -> Response:
        """How fast what a check looks at answered, and what happened to its service meanwhile."""
        check, window = self.find(), read_window_of(CheckTimesQuery, request)
        times = times_of_check(check, window, now=timezone.now())
        return Response(ResponseTimesAnswer(describe_times(times, check.service)).data)


class PreviewViewSet(ResourceViewSet):
    """`/monitoring/preview`."""

    queryset = HealthCheck.objects.none()
    scopes = {"create": "registry:read"}

    @extend_schema(request=JudgedInput, responses=JudgedAnswer)
    def create(self, request: Any) -> Response:
        """Say how an answer would be judged; nothing is asked or stored."""
        given = self.read(JudgedInput)
        return Response(
            trials.preview(
                status=given["status"],
                body=given.get("body", ""),
                headers={str(k): str(v) for k, v in given.get("headers", {}).items()},
                latency_ms=given.get("latency_ms", 0.0),
                conditions=given.get("conditions", {}),
            )
        )
