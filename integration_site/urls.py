"""The routes of the site: the admin, and the API under `/` and under `/api/`."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import include, path, re_path
from django.views.generic import RedirectView


def go_to_console(request: HttpRequest) -> HttpResponse:
    """The start page is that of the admin."""
    return redirect("admin:index")


admin.autodiscover()

urlpatterns = [
    path("", go_to_console),
    path("admin", go_to_console),
    # Where the pages of these tables were before they moved to the kernel.
    re_path(
        r"^admin/registry/(?P<page>(apikey|auditentry)/.*)$",
        RedirectView.as_view(url="/admin/core/%(page)s", query_string=True),
    ),
    path("admin/", admin.site.urls),
    path("", include("monitoring.api.status_urls")),
    path("", include("monitoring.api.push_urls")),
    # First, so that a path under it is not looked for among all the others.
    path("api/", include("integration_site.api.urls")),
    path("", include("integration_site.api.urls")),
]
handler400 = "integration_site.console.error_pages.bad_request"
handler403 = "integration_site.console.error_pages.permission_denied"
handler404 = "integration_site.console.error_pages.page_not_found"
handler500 = "integration_site.console.error_pages.server_error"
