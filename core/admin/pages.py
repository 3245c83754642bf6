"""Pages of the admin beside Django's own: where they are, and how they are rendered."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse


def page_of(row: models.Model) -> str:
    """Return the address of the page of a row."""
    return page_of_id(type(row), row.pk)


def page_of_id(model: type[models.Model], key: object) -> str:
    """Return the address of the page of the row of a model with this id.

    Raises:
        NoReverseMatch: the model has no pages.
    """
    meta = model._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=(key,))


def render_page(
    admin: Any, request: HttpRequest, template: str, *, title: str, **context: Any
) -> HttpResponse:
    """Render a page of the admin of a model, with what every page of the site has."""
    request.current_app = admin.admin_site.name
    shared = admin.admin_site.each_context(request)
    return TemplateResponse(
        request, template, {**shared, "opts": admin.opts, "title": title, **context}
    )
