"""Pages of rows that only the program writes, of which a part is read again while it changes."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from core.admin.base import find_or_404
from core.admin.pages import render_page

# Parts of pages are not read again after this status.
STOP_POLLING = 286


class LivePageMixin:
    """Shows a row by `live_template`, within `page_template`; both get what `live_context` says."""

    page_template: str
    live_template: str

    def page_rows(self) -> QuerySet[Any]:
        """Return the rows that have a page, with what it shows of them."""
        return self.model.objects.all()  # type: ignore[attr-defined]

    def live_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return what the part of the page that changes shows of a row."""
        raise NotImplementedError

    def change_view(
        self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row = find_or_404(self.page_rows(), object_id)
        if not self.has_view_permission(request, row):  # type: ignore[attr-defined]
            raise PermissionDenied
        context = {"original": row, **self.live_context(request, row)}
        return render_page(self, request, self.page_template, title=str(row), **context)

    def render_live(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Render the part that changes; without access or row, have the page loaded anew."""
        row = self.page_rows().filter(pk=pk).first()
        if row is None or not self.has_view_permission(request, row):  # type: ignore[attr-defined]
            return HttpResponse(status=STOP_POLLING, headers={"HX-Refresh": "true"})
        return render(request, self.live_template, self.live_context(request, row))
