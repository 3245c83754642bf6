"""The routes of the site, and those that the earlier system has beside them."""

from django.urls import include, path

from integration_site.legacy.views import (
    AllEvents,
    AllSteps,
    CorrelationEventsView,
    DescriptionView,
)

_ROUTES = [
    path("correlations/<str:correlation>/events", CorrelationEventsView.as_view()),
    path("events", AllEvents.as_view({"get": "list"})),
    path("events/<str:pk>", AllEvents.as_view({"get": "retrieve"})),
    path("steps", AllSteps.as_view({"get": "list"})),
    path("steps/<str:pk>", AllSteps.as_view({"get": "retrieve"})),
]
urlpatterns = [
    path("", DescriptionView.as_view()),
    *_ROUTES,
    path("api/", include(_ROUTES)),
    path("", include("integration_site.urls")),
]
