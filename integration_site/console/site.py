"""The admin site of the hub: Django's, with the theme, an inbox and a search over what there is."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from unfold.sites import UnfoldAdminSite


class HubAdminSite(UnfoldAdminSite):
    """The site on which people see and run the hub."""

    def get_urls(self) -> list[URLPattern]:
        from workflows.admin.inbox import count_view, inbox_view  # once the models are there

        own = [
            path("inbox/", self.admin_view(partial(inbox_view, self)), name="inbox"),
            # Its own login check: a poll must learn that the session ended.
            path("inbox/count/", count_view, name="inbox_count"),
        ]
        return [*own, *super().get_urls()]

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Log a person in, or say how long to wait where too many logins failed."""
        from integration_site.console.login import LoginForm, finish_login  # as above

        self.login_form = LoginForm
        return finish_login(request, super().login(request, extra_context))

    def search(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Return the hits of a text, as a part of a page."""
        from integration_site.console.search import search_console  # once the models are there

        text = request.GET.get("s", "").replace("\0", "").strip()
        hits = search_console(request, text) if text else []
        context = {"hits": hits, "text": text}
        return TemplateResponse(request, "console/search_results.html", context)
