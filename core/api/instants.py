"""Times in bodies and queries."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import django_filters
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.instant_forms import InstantFormField
from core.instants import InstantRefused, parse_instant, read_time


class InstantField(serializers.DateTimeField):
    """A time with its offset from UTC."""

    def to_internal_value(self, value: Any) -> datetime:
        try:
            return self.read(value)
        except InstantRefused as error:
            raise serializers.ValidationError(str(error)) from None

    def read(self, value: Any) -> datetime:
        return parse_instant(value)


class WallTimeField(InstantField):
    """A time that may lack its offset: it is then in the time zone of what it belongs to."""

    def read(self, value: Any) -> datetime:
        return read_time(value)


@extend_schema_field({"type": "string", "format": "date-time"})
class InstantFilter(django_filters.Filter):
    """A filter by a time with its offset from UTC."""

    field_class = InstantFormField
