"""How fast something answered, and what happened meanwhile, in answers of the API."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from core.api.fields import VocabularyField
from core.api.filters import ALWAYS_ALLOWED
from core.api.serializers import StrictSerializer
from monitoring.uptime.happenings import Happening, HappeningKind, read_happenings
from monitoring.uptime.response_times import CHECK_WINDOWS, RESPONSE_WINDOWS, ResponseTimes
from registry.models import Service


def _window_field(windows: Any) -> serializers.ChoiceField:
    wrong: Any = {"invalid_choice": f"Use one of: {', '.join(windows)}."}
    return serializers.ChoiceField(
        choices=list(windows), default="24h", error_messages=wrong, help_text="How far back."
    )


class ServiceTimesQuery(StrictSerializer):
    """How far back response times of a service are asked for."""

    window = _window_field(RESPONSE_WINDOWS)


class CheckTimesQuery(StrictSerializer):
    """How far back response times of a check are asked for: its looks are kept for a week."""

    window = _window_field(CHECK_WINDOWS)


class ResponsePointSerializer(serializers.Serializer[Any]):
    """A part of the window: the answers in it, and the time within which a share of them came."""

    at = serializers.DateTimeField()
    count = serializers.IntegerField()
    p50_ms = serializers.FloatField(allow_null=True)
    p95_ms = serializers.FloatField(allow_null=True)
    p99_ms = serializers.FloatField(allow_null=True)


class HappeningSerializer(serializers.Serializer[Any]):
    """What happened meanwhile; `ended_at` is null while it lasts, and of a deployment."""

    kind = VocabularyField(HappeningKind)
    at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    title = serializers.CharField()
    incident_id = serializers.UUIDField(allow_null=True)


class ResponseTimesAnswer(serializers.Serializer[Any]):
    """The parts of a window that had answers, the oldest first. Percentiles are a bucket off."""

    window = serializers.CharField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    step_seconds = serializers.IntegerField()
    points = ResponsePointSerializer(many=True)
    events = HappeningSerializer(many=True)


def read_window_of(reader: type[StrictSerializer], request: Any) -> str:
    """Return the window that a request asks for. Raises: ValidationError."""
    asked = {k: v for k, v in request.query_params.items() if k not in ALWAYS_ALLOWED}
    query = reader(data=asked)
    query.is_valid(raise_exception=True)
    return str(query.validated_data["window"])


def describe_times(times: ResponseTimes, service: Service | None) -> dict[str, Any]:
    """Return what is answered of response times, with what happened to a service meanwhile."""
    found = read_happenings(service, times.since, times.until) if service else []
    return {
        "window": times.window,
        "since": times.since,
        "until": times.until,
        "step_seconds": times.step_seconds,
        "points": times.known,
        "events": [_describe(each) for each in found],
    }


def _describe(happening: Happening) -> dict[str, Any]:
    return {
        "kind": happening.kind,
        "at": happening.at,
        "ended_at": happening.ended_at,
        "title": happening.title,
        "incident_id": happening.incident.pk if happening.incident else None,
    }
