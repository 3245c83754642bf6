"""The audit trail in the admin: what forms do is recorded, and shown on the page of each object."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC
from typing import Any

from django.apps import apps
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import models, transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils.dateparse import parse_datetime

from core import audit
from core.admin.formatting import NOTHING
from core.admin.pages import page_of_id, render_page
from core.models import AuditEntry, AuditVerb
from core.models.audit import object_type_of

MOST_SHOWN = 50
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)\Z")


class AuditedMixin:
    """Records what is added, changed and deleted by forms, unless a service did so already."""

    model: Any
    opts: Any
    admin_site: Any

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> dict[str, Any]:
        """Return what the form changed, by field: it is the message of `log_change`."""
        initial, cleaned = form.initial, form.cleaned_data
        return {
            name: [_plain(initial.get(name)), _plain(cleaned.get(name))]
            for name in form.changed_data
        }

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:
        if not audit.was_recorded(obj):
            values = {name: after for name, (_, after) in message.items() if "password" not in name}
            audit.record(AuditVerb.CREATED, obj, changes=values)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:
        if message and not audit.was_recorded(obj):
            audit.record(AuditVerb.CHANGED, obj, changes=message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None:
        """Leave it to `delete_model`, which knows whether it is done."""

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        with transaction.atomic():
            audit.record(AuditVerb.DELETED, obj)
            super().delete_model(request, obj)  # type: ignore[misc]

    # The page of one

    def parts_of(self, obj: Any) -> Iterable[models.Model]:
        """Return the rows whose entries are shown with those of an object."""
        return ()

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        obj = self.get_object(request, unquote(object_id))  # type: ignore[attr-defined]
        if obj is None:
            # Django answers as it does wherever a row is not there.
            return super().history_view(request, object_id, extra_context)  # type: ignore[misc]
        if not self.has_view_or_change_permission(request, obj):  # type: ignore[attr-defined]
            raise PermissionDenied
        entries = list(_entries_of(obj, self.parts_of(obj))[: MOST_SHOWN + 1])
        context = {
            "original": obj,
            "object": obj,
            "object_id": str(obj.pk),
            "entries": [describe(entry) for entry in entries[:MOST_SHOWN]],
            "most": MOST_SHOWN if len(entries) > MOST_SHOWN else 0,
            "trail_url": _trail_of(request, obj),
            **(extra_context or {}),
        }
        title = f"History of {obj}"
        return render_page(self, request, "console/history.html", title=title, **context)


def describe(entry: AuditEntry) -> dict[str, Any]:
    """Return an entry as pages show it: changes with what was and what is."""
    return {
        "entry": entry,
        "kind": kind_of(entry),
        "changes": [_change(name, value) for name, value in entry.changes.items()],
    }


def kind_of(entry: AuditEntry) -> str:
    """Return what kind of object an entry is about, in words."""
    model = _models().get(entry.object_type)
    return str(model._meta.verbose_name) if model else entry.object_type.replace("_", " ")


def url_of(entry: AuditEntry) -> str:
    """Return the address of the page of the object; empty where there is none."""
    model = _models().get(entry.object_type)
    if model is None or entry.verb == AuditVerb.DELETED:
        return ""
    try:
        return page_of_id(model, entry.object_id)
    except NoReverseMatch:
        return ""


def _models() -> dict[str, type[models.Model]]:
    return {object_type_of(model): model for model in apps.get_models()}


def _change(name: str, value: Any) -> dict[str, Any]:
    shown = name.removesuffix("_id").replace("_", " ")
    if isinstance(value, list) and len(value) == 2:
        before, after = map(_shown, value)
        return {"name": shown, "before": before, "after": after, "is_change": True}
    return {"name": shown, "after": _shown(value)}


def _shown(value: Any) -> str:
    if value in (None, "", [], {}):
        return NOTHING
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    moment = parse_datetime(value) if _INSTANT.match(value) else None
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if moment else value


def _entries_of(obj: models.Model, parts: Iterable[models.Model]) -> QuerySet[AuditEntry]:
    wanted = Q(object_type=object_type_of(obj), object_id=str(obj.pk))
    ids: dict[str, list[str]] = {}
    for part in parts:
        ids.setdefault(object_type_of(part), []).append(str(part.pk))
    for kind, keys in ids.items():
        wanted |= Q(object_type=kind, object_id__in=keys)
    return AuditEntry.objects.filter(wanted).order_by("-id")


def _trail_of(request: HttpRequest, obj: models.Model) -> str:
    """Return the address of the list of all entries on an object, for who may read it."""
    if not request.user.has_perm("core.view_auditentry"):
        return ""
    return reverse("admin:core_auditentry_changelist") + f"?q={obj.pk}"


def _plain(value: Any) -> Any:
    """Return what a form holds as it can be kept: rows by their names."""
    if isinstance(value, models.Model):
        return str(value)
    if isinstance(value, QuerySet | list | tuple | set):
        return [_plain(each) for each in value]
    return value
