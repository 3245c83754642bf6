"""Discovery: who is there to be called."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils.cache import get_conditional_response, set_response_etag
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.response import Response

from core.api.exchange import concerns
from core.api.list_items import in_list
from core.api.pagination import BodyPagination, PageNumberPagination
from core.api.serializers import represent
from core.api.suspension import result_of
from core.db.vocabulary import Vocabulary
from core.exceptions import ValidationFailed
from core.suggestions import no_such_filter
from registry import services
from registry.api.service_health import PROBE_PARAMETER, ServiceHealthAnswer, describe_health
from registry.api.service_pages import keys_of, render_page
from registry.api.service_serializers import (
    ChangeSerializer,
    InstanceSerializer,
    SearchInput,
    ServiceSerializer,
)
from registry.calls.targets.resolver import ServiceChoice, choose_of_type
from registry.discovery.base import Changes, Criteria, get_discovery
from registry.discovery.followers import when_changed
from registry.models import Service, ServiceStatus, ServiceType

LONGEST_WATCH = 60
LONGEST_UNASKED = 30
LONGEST_TEXT = 200
QUERY_NAMES = (
    "type", "service_type", "status", "name", "tag", "action", "zone", "search",
    "minimum_version", "capability", "include_offline", "page", "per_page",
)  # fmt: skip
_PARAMETERS = [
    *(OpenApiParameter(name, str) for name in QUERY_NAMES[:10]),
    OpenApiParameter("include_offline", bool),
    OpenApiParameter("metadata.<key>", str, description="What the metadata has under that key."),
]


class StaleFields(serializers.Serializer[Any]):
    """Whether the discovery backend does not answer, so that this is from before `stale_since`."""

    stale = serializers.BooleanField()
    stale_since = serializers.DateTimeField(allow_null=True)


class DiscoveryPagination(PageNumberPagination):
    """Pages that say whether they are stale."""

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return stale_page_schema(super().get_paginated_response_schema(schema))


class DiscoveryBodyPagination(BodyPagination):
    """The same for a search."""

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return stale_page_schema(super().get_paginated_response_schema(schema))


def stale_page_schema(page: dict[str, Any]) -> dict[str, Any]:
    since = {"type": ["string", "null"], "format": "date-time"}
    page["properties"] |= {"stale": {"type": "boolean"}, "stale_since": since}
    page["required"] = [*page["required"], "stale", "stale_since"]
    return page


class DiscoveredService(ServiceSerializer):
    """A service that was found; its own name keeps these pages apart from those of the registry."""


class ChosenService(StaleFields, ServiceSerializer):
    """A service whose `url` is that of the instance that was chosen."""

    instance = InstanceSerializer(allow_null=True)
    fail_open = serializers.BooleanField()

    class Meta:
        model = Service
        fields = (
            *ServiceSerializer.Meta.fields, "instance", "fail_open", "stale", "stale_since",
        )  # fmt: skip


class DiscoveredHealth(StaleFields, ServiceHealthAnswer):
    """The health of one service."""


class WatchAnswer(StaleFields):
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
    pagination_class = DiscoveryPagination

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Say in every answer, and in its headers, whether it is stale."""
        if response.status_code == 200 and isinstance(response.data, dict):
            staleness = get_discovery().staleness()
            since = _moment(staleness.since) if staleness else None
            response.data = {**response.data, "stale": staleness is not None, "stale_since": since}
            if since:
                response["X-Discovery-Stale-Since"] = since
        return super().finalize_response(request, response, *args, **kwargs)

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Answer 304 instead of what the caller has already."""
        response: Any = super().dispatch(request, *args, **kwargs)
        response.render()
        if request.method not in ("GET", "HEAD") or response.status_code != 200:
            return response
        set_response_etag(response)
        return get_conditional_response(request, etag=response["ETag"], response=response)

    def answer_page(self, criteria: Criteria) -> Response:
        page = self.paginate_queryset(keys_of(get_discovery().select(criteria)))
        assert page is not None
        concerns(self.request, *map(str, page), fields=criteria.fields())
        return self.get_paginated_response(render_page(page))


class DiscoveredServicesView(DiscoveryView):
    """`/discovery/services`."""

    @extend_schema(parameters=_PARAMETERS, responses=in_list(DiscoveredService))
    def get(self, request: Any) -> Response:
        """Healthy services that meet the criteria."""
        return self.answer_page(read_query(request.query_params))


class SearchView(DiscoveryView):
    """`/discovery/services/search`."""

    @extend_schema(request=SearchInput, responses=in_list(DiscoveredService))
    def post(self, request: Any) -> Response:
        """The same with more criteria."""
        reader = SearchInput(data=request.data)
        reader.is_valid(raise_exception=True)
        self._paginator = DiscoveryBodyPagination(reader.validated_data)
        return self.answer_page(SearchInput.criteria_of(reader.validated_data))


class ServiceOfTypeView(DiscoveryView):
    """`/discovery/services/type/{type}`."""

    @extend_schema(
        parameters=[
            OpenApiParameter("zone", str, description="Preferred; else that of the hub, if any."),
        ],
        responses=ChosenService,
    )
    def get(self, request: Any, service_type: str) -> Response:
        """One healthy service of a type, chosen by health, zone, weight and calls in flight.

        `fail_open` says that nobody is known to be well, and this one merely suspected to be gone.
        """
        value = _parse(ServiceType, "service_type", service_type)
        zone = request.query_params.get("zone", "")
        if problem := _text_problem(zone):
            raise ValidationError({"zone": [problem]})
        chosen = choose_of_type(value, zone=zone or settings.ZONE)
        return Response(_describe_choice(chosen))


def _moment(value: datetime) -> str:
    return str(serializers.DateTimeField().to_representation(value))


def _describe_choice(chosen: ServiceChoice) -> dict[str, Any]:
    body = {
        **represent(ServiceSerializer, chosen.service),
        "instance": None,
        "fail_open": chosen.fail_open,
    }
    if chosen.instance is None:
        return body
    return body | {
        "instance": represent(InstanceSerializer, chosen.instance),
        "url": chosen.instance.url,
        "endpoint": chosen.instance.url,
        "health_url": chosen.instance.health_url or None,
    }


class ServiceHealthView(DiscoveryView):
    """`/discovery/health/{id}`."""

    @extend_schema(parameters=[PROBE_PARAMETER], responses=DiscoveredHealth)
    def get(self, request: Any, pk: str) -> Response:
        """What is known of the health of a service; `?probe=true` asks it now."""
        service = services.get_service(pk)
        concerns(request, str(service.pk))
        return Response(describe_health(service, request))


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
        changes = self._changes(request, index, LONGEST_UNASKED if wait is None else wait)
        body = {
            "index": changes.index,
            "changed": changes.index != index,
            "complete": changes.complete,
            "changes": ChangeSerializer(changes.entries, many=True).data,
        }
        return Response(body)

    @staticmethod
    def _changes(request: Any, index: int | None, seconds: float) -> Changes:
        if index is None:
            return Changes(get_discovery().latest_index(), (), complete=True)
        changes = get_discovery().changes_after(index)
        if changes.index != index or not seconds:
            return changes
        result_of(request, "change", lambda: when_changed(index, seconds=seconds))
        return get_discovery().changes_after(index)


def read_query(query: Any) -> Criteria:
    """Return the criteria in a query string.

    Raises:
        ValidationFailed: a name or a value that does not exist.
    """
    unknown = sorted(k for k in query if k not in QUERY_NAMES and not k.startswith("metadata."))
    if unknown:
        names = (*QUERY_NAMES, "metadata.<key>")
        errors = {name: [no_such_filter(name, names)] for name in unknown}
        raise ValidationFailed(next(iter(errors.values()))[0], errors=errors)
    wrong = {name: problem for name, text in query.items() if (problem := _text_problem(text))}
    if wrong:
        raise ValidationError(wrong)
    types = (*query.getlist("type"), *query.getlist("service_type"))
    return Criteria(
        types=_parse_all(ServiceType, "type", types),
        statuses=_parse_all(ServiceStatus, "status", query.getlist("status")),
        name=query.get("name", ""),
        action=query.get("action", ""),
        zone=query.get("zone", ""),
        search=query.get("search", ""),
        minimum_version=query.get("minimum_version", ""),
        tags_all=(*query.getlist("tag"), *query.getlist("capability")),
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
        raise ValidationFailed.at(name, str(error)) from None


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
