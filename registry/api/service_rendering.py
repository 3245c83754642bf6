"""Renders services that beat: what a heartbeat leaves as it was is rendered once for all."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.utils import timezone
from rest_framework.fields import DateTimeField
from rest_framework.renderers import JSONRenderer

from core.api.serializers import represent
from registry.api.service_serializers import InstanceSerializer, ServiceSerializer
from registry.models import ServiceInstance
from registry.models.status import explain_status
from registry.services.readings import ServiceReading

# Nothing that a caller could have written reads so.
_MARK = secrets.token_hex(16)
_HOLE = re.compile(f'"{_MARK}"'.encode())
_OF_PREFERRED = ("url", "endpoint", "health_url")
_OF_INSTANCE = ("last_heartbeat", "expires_at", "metadata")


def render_service(reading: ServiceReading) -> bytes:
    """Return what the views of services answer of one, byte by byte."""
    return _template_of(reading).fill(reading)


def render_chosen(reading: ServiceReading, shared: ServiceInstance, *, fail_open: bool) -> bytes:
    """Return what is answered of a service of which this instance of its state was chosen."""
    service = _template_of(reading).fill(reading, at=shared)
    instance = _template_of(reading).fill_instance(reading, shared)
    fresh = b'"stale":false,"stale_since":null}'
    choice = b'%b,"instance":%b,"fail_open":%b,%b'
    return choice % (service[:-1], instance, b"true" if fail_open else b"false", fresh)


def _template_of(reading: ServiceReading) -> _Template:
    if reading.state.rendering is None:
        reading.state.rendering = _Template(reading)
    template: _Template = reading.state.rendering
    return template


class _Template:
    """A rendered service with holes for what heartbeats change, and for what follows from that."""

    def __init__(self, reading: ServiceReading) -> None:
        shown = represent(ServiceSerializer, reading.state.service)
        # Why an instance is not ONLINE may be told with the seconds since it was heard of.
        self._explained = [bool(each["status_reason"]) for each in shown["instances"]]
        for place, instance in enumerate(shown["instances"]):
            instance.update(dict.fromkeys(self._holes_of(place), _MARK))
        shown.update(dict.fromkeys((*_OF_PREFERRED, "last_heartbeat"), _MARK))
        self._texts = _HOLE.split(JSONRenderer().render(shown))
        self._addresses = [_address_of(each) for each in reading.state.instances]
        # Of each instance alone, made when one is asked for.
        self._instance_texts: dict[int, list[bytes]] = {}

    def fill(self, reading: ServiceReading, *, at: ServiceInstance | None = None) -> bytes:
        """Return the service with the address of this instance, the preferred one unless told."""
        place = _preferred_of(reading) if at is None else reading.state.places[at.id]
        values = [*self._addresses[place]]
        for place in range(len(reading.renewed)):
            values += self._values_of(reading, place)
        beats = [beaten_at for beaten_at, *_ in reading.renewed if beaten_at is not None]
        values.append(_instant(max(beats, default=None)))
        return _joined(self._texts, values)

    def fill_instance(self, reading: ServiceReading, shared: ServiceInstance) -> bytes:
        """Return an instance as it is answered alone."""
        place = reading.state.places[shared.id]
        if place not in self._instance_texts:
            shown = represent(InstanceSerializer, reading.instance_of(shared))
            shown.update(dict.fromkeys(self._holes_of(place), _MARK))
            self._instance_texts[place] = _HOLE.split(JSONRenderer().render(shown))
        return _joined(self._instance_texts[place], self._values_of(reading, place))

    def _holes_of(self, place: int) -> tuple[str, ...]:
        return (*_OF_INSTANCE, "status_reason") if self._explained[place] else _OF_INSTANCE

    def _values_of(self, reading: ServiceReading, place: int) -> list[bytes]:
        beaten_at, expires_at, _, metadata = reading.renewed[place]
        values = [_instant(beaten_at), _instant(expires_at), _object(metadata)]
        if self._explained[place]:
            instance = reading.instance_of(reading.state.instances[place])
            values.append(_text(explain_status(instance, now=timezone.now())))
        return values


def _joined(texts: list[bytes], values: list[bytes]) -> bytes:
    parts = [b""] * (2 * len(values) + 1)
    parts[::2], parts[1::2] = texts, values
    return b"".join(parts)


def _preferred_of(reading: ServiceReading) -> int:
    """Return the place of the instance whose address is the service's."""
    instances = reading.state.instances
    if len(instances) == 1:
        return 0
    preferred = min(map(reading.instance_of, instances), key=lambda each: each.preference())
    return reading.state.places[preferred.id]


def _address_of(instance: ServiceInstance) -> list[bytes]:
    url = _text(instance.url)
    return [url, url, _text(instance.health_url or None)]


@lru_cache(maxsize=1024)
def _instant(at: datetime | None) -> bytes:
    if at is None:
        return b"null"
    if at.tzinfo is UTC and settings.TIME_ZONE == "UTC":  # as the field below writes it
        return f'"{at.replace(tzinfo=None).isoformat()}Z"'.encode()
    return _text(DateTimeField().to_representation(at))


def _text(text: str | None) -> bytes:
    return b"null" if text is None else _json(text)


def _object(members: dict[str, Any]) -> bytes:
    return _json(members) if members else b"{}"


def _json(value: Any) -> bytes:
    rendered: bytes = JSONRenderer().render(value)
    return rendered
