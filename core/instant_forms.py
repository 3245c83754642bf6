"""A form field for a time, of filters and of the admin."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms

from core.instants import InstantRefused, parse_instant


class InstantFormField(forms.Field):
    """A time with its offset, as a text."""

    def to_python(self, value: Any) -> datetime | None:
        if value in self.empty_values:
            return None
        try:
            return parse_instant(value.strip())
        except InstantRefused as error:
            raise forms.ValidationError(str(error)) from None
