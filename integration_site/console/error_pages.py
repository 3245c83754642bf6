"""Pages for what goes wrong in the console; outside of it, the API's answers."""

from __future__ import annotations

import structlog
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template import loader
from django.template.response import SimpleTemplateResponse, TemplateResponse
from django.templatetags.static import static
from unfold.settings import get_config

from core.api import errors as api
from core.request_ids import current_request_id

logger = structlog.get_logger(__name__)
CONSOLE = "/admin/"
STYLES = (
    "unfold/fonts/inter/styles.css",
    "unfold/fonts/material-symbols/styles.css",
    "unfold/css/styles.css",
    "console/console.css",
)
SCRIPTS = ("console/theme.js",)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer 400: a host or a form that Django refuses."""
    if not request.path.startswith(CONSOLE):
        return api.bad_request(request, exception)
    # Without the menu: it may be the session that cannot be read.
    return _bare_page(400, "This request cannot be read", "Go back, load the page again and retry.")


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer 403: this person may not see or do this."""
    if not request.path.startswith(CONSOLE):
        return api.permission_denied(request, exception)
    sentence = str(exception or "") or "Your account lacks the permission for this page."
    advice = "An administrator gives permissions by the roles of your account."
    return _page(request, 403, "You may not do this", sentence, advice)


def page_not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer 404: no page, or no such row."""
    if not request.path.startswith(CONSOLE):
        return api.page_not_found(request, exception)
    reason = exception.args[0] if exception and exception.args else ""
    sentence = (
        reason if isinstance(reason, str) and reason else f"No page is at {request.path[:200]}."
    )
    advice = "It may have been deleted or renamed. Find… in the menu looks for names and ids."
    return _page(request, 404, "There is nothing here", sentence, advice)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500, without the menu: what builds it may be what is broken."""
    if not request.path.startswith(CONSOLE):
        return api.server_error(request)
    sentence = "The fault is the hub's, not yours. Tell those who run it the id below."
    return _bare_page(500, "Something went wrong here", sentence, request_id=current_request_id())


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer 403 to a form that does not come from a page of this browser's session."""
    logger.warning("csrf_refused", path=request.path, reason=reason)
    if not request.path.startswith(CONSOLE):
        return api.permission_denied(request, None)
    sentence = "The form is older than your session, or cookies are switched off. Load it again."
    return _bare_page(403, "This form was not accepted", sentence)


def _page(
    request: HttpRequest, status: int, title: str, sentence: str, advice: str
) -> HttpResponse:
    if not admin.site.has_permission(request):
        return _bare_page(status, title, sentence)
    words = {"title": title, "sentence": sentence, "advice": advice}
    context = {**admin.site.each_context(request), **words}
    page = TemplateResponse(request, "console/error.html", context, status=status)
    return page.render()


def _bare_page(status: int, title: str, sentence: str, *, request_id: str = "") -> HttpResponse:
    """Answer with the looks of the console, by no query and without asking who it is."""
    context = {
        "title": title,
        "sentence": sentence,
        "request_id": request_id,
        "styles": _addresses(STYLES),
        "scripts": _addresses(SCRIPTS),
        "colors": get_config()["COLORS"],
    }
    template = loader.get_template("console/bare_error.html")
    return SimpleTemplateResponse(template, context, status=status).render()


def _addresses(files: tuple[str, ...]) -> list[str]:
    """Return where static files are; none where they were not collected."""
    try:
        return [static(file) for file in files]
    except ValueError:
        return []
