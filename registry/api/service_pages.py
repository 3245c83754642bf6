"""Pages of services: what is known of each is rendered, so a page is two small queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from rest_framework.renderers import JSONRenderer

from core.api.list_items import fits_in_list, represent_items
from core.api.rendering import RenderedItems
from core.api.serializers import represent
from registry.api.service_rendering import render_service
from registry.api.service_serializers import ServiceSerializer
from registry.models import Service
from registry.services.readings import read_services


def keys_of(services: QuerySet[Service]) -> QuerySet[Any]:
    """Return the keys of services in their order, which is all that a page of them has to read."""
    return services.prefetch_related(None).values_list("pk", flat=True)


def render_page(keys: Sequence[UUID]) -> RenderedItems | list[dict[str, Any]]:
    """Return services as items of a list, in this order; without those that went meanwhile.

    Rendered, unless they have to be cut to fit.
    """
    readings = read_services([str(key) for key in keys])
    others = _read_others([key for key in keys if str(key) not in readings])
    items: list[bytes] = []
    for key in keys:
        if (reading := readings.get(str(key))) is not None:
            items.append(render_service(reading))
        elif (row := others.get(key)) is not None:
            items.append(JSONRenderer().render(represent(ServiceSerializer, row)))
    if fits_in_list(map(len, items)):
        return RenderedItems(items)
    rows = Service.objects.with_parts().in_bulk(keys)
    return represent_items([rows[key] for key in keys if key in rows], ServiceSerializer)


def _read_others(keys: Sequence[UUID]) -> dict[UUID, Service]:
    """Return services without instances, which readings leave out."""
    return Service.objects.with_parts().in_bulk(keys) if keys else {}
