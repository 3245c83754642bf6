"""Every route of the API, written once and without trailing slashes."""

from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from integration_site.api import events, hub_health

urlpatterns = [
    path("", include("workflows.api.urls")),
    path("", include("registry.api.urls")),
    path("", include("monitoring.api.urls")),
    path("health/alive", hub_health.AliveView.as_view()),
    path("health/ready", hub_health.ReadyView.as_view()),
    path("health/system", hub_health.SystemView.as_view()),
    path("events", events.EventsView.as_view()),
    path("schema", SpectacularAPIView.as_view(), name="schema"),
    path("docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
]
