"""One page of events. The front makes streams of it, as it can keep a connection open."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from core.api.events import STREAM_TYPE, Following, event_sources, position_of, topics_for
from core.exceptions import ValidationFailed
from core.identifiers import read_id

MOST_FOLLOWED = 20


class StreamsElsewhere(exceptions.APIException):
    """A stream is asked of who gives pages only."""

    status_code = 406
    default_detail = (
        "Streams are given over HTTP/1.1 by the web process of the hub."
        " Ask with Accept: application/json for one page of events."
    )


class EventAnswer(serializers.Serializer[Any]):
    """Something happened; `event_id` is the position behind it."""

    event_id = serializers.CharField()
    topic = serializers.CharField()
    id = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.CharField()
    status = serializers.CharField()


class EventPageAnswer(serializers.Serializer[Any]):
    """What happened after a position."""

    topics = serializers.ListField(child=serializers.CharField())
    executions = serializers.ListField(child=serializers.CharField())
    reset = serializers.ListField(
        child=serializers.CharField(), help_text="Topics to read anew: what came is not known."
    )
    last_event_id = serializers.CharField()
    events = EventAnswer(many=True)


class EventsView(APIView):
    """`/events`."""

    scopes = {"GET": "registry:read|workflows:read"}

    @extend_schema(
        parameters=[
            OpenApiParameter("topics", str, description="Such as services,incidents."),
            OpenApiParameter(
                "executions",
                str,
                description="Ids of executions of which a stream also tells that steps went on.",
            ),
            OpenApiParameter(
                "Last-Event-ID",
                str,
                OpenApiParameter.HEADER,
                description="Of the last event that is known; without, from now on.",
            ),
        ],
        responses={
            (200, "application/json"): EventPageAnswer,
            (200, STREAM_TYPE): OpenApiTypes.STR,
        },
    )
    def get(self, request: Any) -> Response:
        """What happened after `Last-Event-ID`, and with `Accept: text/event-stream` what follows.

        A stream is of Server-Sent Events. Topics are `services`, `incidents` and `executions`, each
        for those who may read it.
        """
        accept = request.META.get("HTTP_ACCEPT", "")
        if STREAM_TYPE in accept and "json" not in accept:
            raise StreamsElsewhere
        asked = request.query_params.get("topics", "")
        topics = topics_for(request.user, asked)
        executions = _ids_in(request.query_params.get("executions", ""))
        if executions and "executions" not in topics:
            raise ValidationFailed.at("executions", "Ask for the topic executions too.")
        following = _follow(request.META.get("HTTP_LAST_EVENT_ID", ""), topics)
        return Response(
            {
                "topics": topics,
                "executions": executions,
                "reset": following.lost,
                "last_event_id": position_of(following.marks),
                "events": [
                    {"event_id": position, **event.data()} for position, event in following.events
                ],
            }
        )


def _ids_in(text: str) -> list[str]:
    """Raises: ValidationFailed: they are no ids, or too many."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    ids = [read_id(name) for name in names]
    if None in ids or len(ids) > MOST_FOLLOWED:
        sentence = f"Give at most {MOST_FOLLOWED} ids of executions, with commas between them."
        raise ValidationFailed.at("executions", sentence)
    return sorted({str(each) for each in ids})


def _follow(last_event_id: str, topics: tuple[str, ...]) -> Following:
    if not last_event_id:
        return Following(marks=event_sources.newest())
    marks = event_sources.marks_in(last_event_id)
    if marks is None:
        return Following(lost=[*topics], marks=event_sources.newest())
    rest = {topic: mark for topic, mark in event_sources.newest().items() if topic not in topics}
    return event_sources.follow({**marks, **rest}, topics)
