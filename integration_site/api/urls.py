"""Every route of the API, written once and without trailing slashes."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import include, path
from django.views import View
from drf_spectacular.views import (
    SpectacularAPIView,
    SpectacularJSONAPIView,
    SpectacularSwaggerSplitView,
)

from integration_site.api import events, hub_health, manifests, metrics

# The names by which other platforms ask for them; the document does not show them.
_OTHER_NAMES = {
    "alive": hub_health.AliveView,
    "ready": hub_health.ReadyView,
    "health/liveness": hub_health.AliveView,
    "health/readiness": hub_health.ReadyView,
    "health/dependencies": hub_health.DependenciesView,
}


class GoToDocs(View):
    """Leads to the documentation: it is one page, by whichever name it is asked for."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return redirect("docs")


urlpatterns = [
    path("", include("workflows.api.urls")),
    path("", include("registry.api.urls")),
    path("", include("monitoring.api.urls")),
    path("", include("model_orchestration.api.urls")),
    path("health/alive", hub_health.AliveView.as_view()),
    path("health/ready", hub_health.ReadyView.as_view()),
    path("health/system", hub_health.SystemView.as_view()),
    *(path(name, view.as_view(schema=None)) for name, view in _OTHER_NAMES.items()),
    path("metrics", metrics.MetricsView.as_view()),
    path("manifests/apply", manifests.ManifestViewSet.as_view({"post": "apply"})),
    path("manifests/export", manifests.ManifestViewSet.as_view({"get": "export"})),
    path("events", events.EventsView.as_view()),
    path("schema", SpectacularAPIView.as_view(), name="schema"),
    path("openapi.json", SpectacularJSONAPIView.as_view(), name="openapi"),
    path("redoc", GoToDocs.as_view()),
    path("docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
]
