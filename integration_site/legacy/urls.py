"""The routes of the site, and those that the earlier system has beside them."""

from django.urls import include, path

from integration_site.legacy.views import DescriptionView

urlpatterns = [
    path("", DescriptionView.as_view()),
    path("", include("integration_site.urls")),
]
