"""Discovery: who is there to be called."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from django.db import connection
from django.utils.cache import get_conditional_response, set_response_etag
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.response import Response

from registry import services
from registry.api.health import PROBE_PARAMETER, ServiceHealthAnswer, describe_health
from registry.api.pagination import BodyPagination
from registry.api.serializers import ChangeSerializer, SearchInput, ServiceSerializer
from registry.calls.resolve import services_of_type
from registry.discovery.base import Changes, Criteria, get_discovery
from registry.exceptions import ValidationFailed
from registry.models import ServiceStatus, ServiceType
from registry.models.base import Vocabulary

WATCH_POLL_SECONDS = 0.5
LONGEST_WATCH = 60
LONGEST_UNASKED = 30
LONGEST_TEXT = 200
_QUERY = (
    "type", "service_type", "status", "name", "tag", "action", "zone", "search",
    "minimum_version", "include_offline", "page", "per_page",
)  # fmt: skip
_PARAMETERS = [
    *(OpenApiParameter(name, str) for name in _QUERY[:9]),
    OpenApiParameter("include_offline", bool),
    OpenApiParameter("metadata.<key>", str, description="What the metadata has under that key."),
]


class WatchAnswer(serializers.Serializer[Any]):
    """What happened since an index."""

    index = serializers.IntegerField()
    changed = serializers.BooleanField()
    complete = serializers.BooleanField()
    changes = ChangeSerializer(many=True)


class DiscoveryView(GenericAPIView[Any]):
    """A discovery resource: needs to read the registry, and answers with an entity tag."""

    scopes = {"GET": "registry:read", "POST": "registry:read"}
    serializer_class = ServiceSerializer
    filter_backends = ()

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Answer 304 instead of what the caller has already."""
        response: Any = super().dispatch(request, *args, **kwargs)
        response.render()
        if request.method not in ("GET", "HEAD") or response.status_code != 200:
            return response
        set_response_etag(response)
        return get_conditional_response(request, etag=response["ETag"], response=response)

    def answer_page(self, criteria: Criteria) -> Response:
        page = self.paginate_queryset(get_discovery().select(criteria))
        return self.get_paginated_response(ServiceSerializer(page, many=True).data)


class DiscoveredServicesView(DiscoveryView):
    """`/discovery/services`."""

    @extend_schema(parameters=_PARAMETERS, responses=ServiceSerializer(many=True))
    def get(self, request: Any) -> Response:
        """Healthy services that meet the criteria."""
        return self.answer_page(read_query(request.query_params))


class SearchView(DiscoveryView):
    """`/discovery/services/search`."""

    @extend_schema(request=SearchInput, responses=ServiceSerializer(many=True))
    def post(self, request: Any) -> Response:
        """The same with more criteria."""
        reader = SearchInput(data=request.data)
        reader.is_valid(raise_exception=True)
        self._paginator = BodyPagination(reader.validated_data)
        return self.answer_page(SearchInput.criteria_of(reader.validated_data))


class ServiceOfTypeView(DiscoveryView):
    """`/discovery/services/type/{type}`."""

    @extend_schema(responses=ServiceSerializer)
    def get(self, request: Any, service_type: str) -> Response:
        """One healthy service of a type, chosen by health and weight."""
        value = _parse(ServiceType, "service_type", service_type)
        return Response(ServiceSerializer(services_of_type(value)[0]).data)


class ServiceHealthView(DiscoveryView):
    """`/discovery/health/{id}`."""

    @extend_schema(parameters=[PROBE_PARAMETER], responses=ServiceHealthAnswer)
    def get(self, request: Any, pk: str) -> Response:
        """What is known of the health of a service; `?probe=true` asks it now."""
        return Response(describe_health(services.get_service(pk), request.query_params))


class WatchView(DiscoveryView):
    """`/discovery/watch`."""

    @extend_schema(
        parameters=[
            OpenApiParameter("index", int, description="Of the answer before."),
            OpenApiParameter("wait", int, description=f"Seconds, at most {LONGEST_WATCH}."),
        ],
        responses=WatchAnswer,
    )
    def get(self, request: Any) -> Response:
        """Wait until something changed after `index`, at most `wait` seconds (30 unless told).

        Without an index it answers the present one at once. `complete` is false when changes in
        between are no longer known: then read everything anew.
        """
        index = _number(request.query_params, "index", least=0, most=2**63 - 1)
        wait = _number(request.query_params, "wait", least=0, most=LONGEST_WATCH)
        if index is None:
            changes = Changes(get_discovery().latest_index(), (), complete=True)
        else:
            changes = wait_for_change(index, seconds=LONGEST_UNASKED if wait is None else wait)
        body = {
            "index": changes.index,
            "changed": changes.index != index,
            "complete": changes.complete,
            "changes": ChangeSerializer(changes.entries, many=True).data,
        }
        return Response(body)


def wait_for_change(index: int, *, seconds: float) -> Changes:
    """What happened after that index, as soon as there is something, or when the time is up."""
    deadline = time.monotonic() + seconds
    changes = get_discovery().changes_after(index)
    while changes.index == index and time.monotonic() < deadline:
        if not connection.in_atomic_block:
            connection.close()  # waiting callers must not use up the pool
        time.sleep(min(WATCH_POLL_SECONDS, max(0.0, deadline - time.monotonic())))
        changes = get_discovery().changes_after(index)
    return changes


def read_query(query: Any) -> Criteria:
    """The criteria in a query string.

    Raises:
        ValidationFailed: a name or a value that does not exist.
    """
    unknown = sorted(k for k in query if k not in _QUERY and not k.startswith("metadata."))
    if unknown:
        sentence = f"There is no such filter. Use: {', '.join((*_QUERY, 'metadata.<key>'))}."
        raise ValidationFailed(sentence, errors={name: [sentence] for name in unknown})
    errors = {name: problem for name, text in query.items() if (problem := _text_problem(text))}
    if errors:
        raise ValidationError(errors)
    types = (*query.getlist("type"), *query.getlist("service_type"))
    return Criteria(
        types=_parse_all(ServiceType, "type", types),
        statuses=_parse_all(ServiceStatus, "status", query.getlist("status")),
        name=query.get("name", ""),
        action=query.get("action", ""),
        zone=query.get("zone", ""),
        search=query.get("search", ""),
        minimum_version=query.get("minimum_version", ""),
        tags_all=tuple(query.getlist("tag")),
        metadata_texts={
            k.removeprefix("metadata."): v for k, v in query.items() if k.startswith("metadata.")
        },
        include_offline=_flag(query, "include_offline"),
    )


def _text_problem(text: str) -> str:
    if "\x00" in text:
        return "Null characters are not allowed."
    return f"At most {LONGEST_TEXT} characters." if len(text) > LONGEST_TEXT else ""


def _parse_all(vocabulary: type[Vocabulary], name: str, texts: Iterable[str]) -> tuple[str, ...]:
    words = [word for text in texts for word in text.split(",") if word.strip()]
    return tuple(_parse(vocabulary, name, word) for word in words)


def _parse(vocabulary: type[Vocabulary], name: str, text: str) -> str:
    try:
        return vocabulary.parse(text).value
    except ValueError as error:
        raise ValidationFailed(f"{name}: {error}", errors={name: [str(error)]}) from None


def _flag(query: Any, name: str) -> bool:
    text = query.get(name, "false").lower()
    if text not in ("true", "false", "1", "0", ""):
        raise ValidationError({name: ["Use true or false."]})
    return text in ("true", "1")


def _number(query: Any, name: str, *, least: int, most: int) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
    if not least <= number <= most:
        raise ValidationError({name: [f"Use a whole number from {least} to {most}."]})
    return number
