"""Saves rows of forms by the services that the API uses too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import models
from django.http import HttpRequest

from core.configured_rows import Assign, create_row, delete_row, update_row


class ServicedMixin:
    """Rows that are made, changed and deleted by services; `assign` puts fields into one."""

    assign: Assign

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        fields = _plain(form.cleaned_data)
        save = update_row if change else create_row
        saved = save(obj, fields, self.assign_of(request))
        obj.__dict__.update(saved.__dict__)

    def assign_of(self, request: HttpRequest) -> Assign:
        """Return what puts fields into a row, as far as this person may."""
        return type(self).assign

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        delete_row(obj)


def _plain(cleaned: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a form with rows by their ids, as services take them."""
    return {
        name: str(value.pk) if isinstance(value, models.Model) else value
        for name, value in cleaned.items()
    }
