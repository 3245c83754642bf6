"""`/status`: status pages as whoever may see them is shown them, in each of their forms.

No view asks the database for each request, or who calls for a page that is public.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions
from rest_framework.views import APIView

from core.exceptions import NotFound
from monitoring.models import PageVisibility
from monitoring.status_pages.forms import (
    BADGES,
    badge_json,
    badge_of,
    badge_svg,
    feed_of,
    render_html,
    render_index,
    summary_of,
)
from monitoring.status_pages.keeping import Kept, kept_index, kept_page

KEPT_BY_READERS = "max-age=10"
SVG = "image/svg+xml; charset=utf-8"


@extend_schema(exclude=True)
class StatusView(APIView):
    """What the views of status pages share: a page is found, and shown to who may see it."""

    permission_classes = ()

    def perform_authentication(self, request: Any) -> None:
        """Ask who calls only where that decides: a public page is there without the database."""

    def find(self, request: Any, name: str) -> Kept:
        """Return the page.

        Raises:
            NotFound: there is none, or it is off.
            NotAuthenticated, PermissionDenied: it takes a key.
        """
        kept = kept_page(name)
        if kept.document["visibility"] == PageVisibility.KEY:
            if not request.user.is_authenticated:
                raise exceptions.NotAuthenticated("This status page takes an API key, or a login.")
            if not request.user.may("registry:read"):
                raise exceptions.PermissionDenied("This needs the scope registry:read.")
        return kept

    @staticmethod
    def address(request: Any, name: str) -> str:
        return request.build_absolute_uri(f"/status/{quote(name)}")


def _kept_a_while(response: HttpResponse, kept: Kept | None = None) -> HttpResponse:
    """Let browsers and proxies keep an answer; one that takes a key only browsers."""
    public = kept is None or kept.document["visibility"] == PageVisibility.PUBLIC
    scope = "public" if public else "private"
    response.headers["Cache-Control"] = f"{scope}, {KEPT_BY_READERS}"
    if public:  # a badge is shown on other sites
        response.headers["Access-Control-Allow-Origin"] = "*"
    return response


class IndexView(StatusView):
    """`/status`: the one public page there is, or the list of them."""

    def get(self, request: Any) -> HttpResponse:
        """Answer the page, or the list.

        Raises:
            NotFound: no page is public.
        """
        pages = kept_index().document["pages"]
        if not pages:
            raise NotFound("No status page is public.")
        if len(pages) == 1:
            return HttpResponseRedirect(f"/status/{quote(pages[0]['name'])}")
        document = {"pages": pages}
        return _kept_a_while(HttpResponse(render_index(document, base="/status")))


class PageView(StatusView):
    """`/status/{page}`: for people."""

    def get(self, request: Any, name: str) -> HttpResponse:
        """Answer the page as HTML."""
        kept = self.find(request, name)
        html = render_html(kept, base=f"/status/{quote(kept.document['name'])}")
        return _kept_a_while(HttpResponse(html), kept)


class SummaryView(StatusView):
    """`/status/{page}/summary.json`: for programs, in the shape of Statuspage's."""

    def get(self, request: Any, name: str) -> HttpResponse:
        """Answer the page as JSON."""
        kept = self.find(request, name)
        return _kept_a_while(
            JsonResponse(summary_of(kept, url=self.address(request, kept.document["name"]))), kept
        )


class FeedView(StatusView):
    """`/status/{page}/feed.atom`: for readers of feeds."""

    def get(self, request: Any, name: str) -> HttpResponse:
        """Answer incidents and maintenance as an Atom feed."""
        kept = self.find(request, name)
        feed = feed_of(kept, url=self.address(request, kept.document["name"]))
        return _kept_a_while(HttpResponse(feed, "application/atom+xml; charset=utf-8"), kept)


class BadgeView(StatusView):
    """`/status/{page}/badge/{component}/{kind}.svg`, and `.json` for shields.io."""

    def get(self, request: Any, name: str, component: str, file: str) -> HttpResponse:
        """Answer a badge.

        Raises:
            NotFound: there is no such badge.
        """
        kept = self.find(request, name)
        kind, _, form = file.rpartition(".")
        if kind not in BADGES or form not in ("svg", "json"):
            known = ", ".join(f"{each}.svg, {each}.json" for each in BADGES)
            raise NotFound(f"There is no badge '{file[:50]}'. Use one of: {known}.")
        badge = badge_of(kept.document, component, kind)
        if form == "json":
            return _kept_a_while(JsonResponse(badge_json(badge)), kept)
        return _kept_a_while(HttpResponse(badge_svg(badge), SVG), kept)
