"""Renders services that beat: what a heartbeat leaves as it was is rendered once for all."""

from __future__ import annotations

import re
import secrets
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.utils import timezone
from rest_framework.fields import DateTimeField
from rest_framework.renderers import JSONRenderer

from core.api.serializers import represent
from registry.api.service_serializers import ServiceSerializer
from registry.models.status import explain_status
from registry.services.readings import ServiceReading

# Nothing that a caller could have written reads so.
_MARK = secrets.token_hex(16)
_HOLE = re.compile(f'"{_MARK}"'.encode())
_OF_PREFERRED = ("url", "endpoint", "health_url")
_OF_INSTANCE = ("last_heartbeat", "expires_at", "metadata")


def render_service(reading: ServiceReading) -> bytes:
    """Return what the views of services answer of one, byte by byte."""
    state = reading.state
    if state.rendering is None:
        state.rendering = _Template(reading)
    template: _Template = state.rendering
    return template.fill(reading)


class _Template:
    """A rendered service with holes for what heartbeats change, and for what follows from that."""

    def __init__(self, reading: ServiceReading) -> None:
        shown = represent(ServiceSerializer, reading.service())
        # Why an instance is not ONLINE may be told with the seconds since it was heard of.
        self._explained = [bool(each["status_reason"]) for each in shown["instances"]]
        for instance, is_explained in zip(shown["instances"], self._explained, strict=True):
            names = (*_OF_INSTANCE, "status_reason") if is_explained else _OF_INSTANCE
            instance.update(dict.fromkeys(names, _MARK))
        shown.update(dict.fromkeys((*_OF_PREFERRED, "last_heartbeat"), _MARK))
        self._texts = _HOLE.split(JSONRenderer().render(shown))

    def fill(self, reading: ServiceReading) -> bytes:
        values = _values_of_preferred(reading)
        beats = []
        for place, (beaten_at, expires_at, _, metadata) in enumerate(reading.renewed):
            values += (_instant(beaten_at), _instant(expires_at), _object(metadata))
            if self._explained[place]:
                instance = reading.instance_of(reading.state.instances[place])
                values.append(_text(explain_status(instance, now=timezone.now())))
            if beaten_at is not None:
                beats.append(beaten_at)
        values.append(_instant(max(beats, default=None)))
        parts = [b""] * (2 * len(values) + 1)
        parts[::2], parts[1::2] = self._texts, values
        return b"".join(parts)


def _values_of_preferred(reading: ServiceReading) -> list[bytes]:
    instances = reading.state.instances
    if len(instances) == 1:
        [instance] = instances
    else:
        instance = min(map(reading.instance_of, instances), key=lambda each: each.preference())
    url = _text(instance.url)
    return [url, url, _text(instance.health_url or None)]


@lru_cache(maxsize=1024)
def _instant(at: datetime | None) -> bytes:
    return b"null" if at is None else _text(DateTimeField().to_representation(at))


@lru_cache(maxsize=1024)
def _text(text: str | None) -> bytes:
    return b"null" if text is None else _json(text)


def _object(members: dict[str, Any]) -> bytes:
    return _json(members) if members else b"{}"


def _json(value: Any) -> bytes:
    rendered: bytes = JSONRenderer().render(value)
    return rendered
