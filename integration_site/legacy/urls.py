"""The routes of the site, and those that the earlier system has beside them."""

from django.urls import include, path

from integration_site.legacy.views import CorrelationEventsView, DescriptionView

urlpatterns = [
    path("", DescriptionView.as_view()),
    path("correlations/<str:correlation>/events", CorrelationEventsView.as_view()),
    path("api/correlations/<str:correlation>/events", CorrelationEventsView.as_view()),
    path("", include("integration_site.urls")),
]
