"""What the admin of every model shares: bounded lists, read-only models and bulk actions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import models
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from registry.exceptions import IntegrationError

MAX_BULK = 200
MAX_REASONS = 5


class BoundedPaginator(Paginator):
    """Counts no further than `MAX_COUNTED` rows: a list costs the same at ten million."""

    MAX_COUNTED = 10_000

    @cached_property
    def count(self) -> int:
        return self.object_list.order_by()[: self.MAX_COUNTED].count()

    @property
    def is_capped(self) -> bool:
        """Whether there may be more rows than were counted."""
        return self.count >= self.MAX_COUNTED


class GrowingChangeList(ChangeList):
    """Says how many rows were found only where something was looked for."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.query and not self.has_active_filters:
            self.full_result_count = self.result_count


class HubAdmin(ModelAdmin):
    """A list of fifty per page, with its filters beside it where there is room."""

    list_per_page = 50
    list_max_show_all = 50
    list_filter_sheet = False
    show_facets = ModelAdmin.show_facets.NEVER
    warn_unsaved_form = True


class GrowingAdmin(HubAdmin):
    """The list of a table that grows without end: never counted whole, sorted only by its index."""

    paginator = BoundedPaginator
    show_full_result_count = False
    sortable_by: tuple[str, ...] = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return GrowingChangeList


class ReadOnlyMixin:
    """Rows that only the program writes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def actor_of(request: HttpRequest) -> str:
    """The name under which what a person does is recorded."""
    return request.user.get_username()


def run_on_each(
    request: HttpRequest,
    rows: Iterable[models.Model],
    act: Callable[[Any], object],
    *,
    done: str,
) -> None:
    """Do something to each selected row and say how many were done, and which refused and why."""
    count = 0
    refused: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        try:
            act(row)
            count += 1
        except IntegrationError as error:
            refused[error.message].append(str(row))
    if count:
        messages.success(request, f"{count} {done}.")
    for reason, names in list(refused.items())[:MAX_REASONS]:
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        shown = f"{', '.join(names[:2])}{more}"
        messages.warning(request, f"{len(names)} refused. {reason} ({shown})")
