"""Routes of status pages as they are shown."""

from django.urls import path

from monitoring.api import status_views as views

urlpatterns = [
    path("status", views.IndexView.as_view(), name="status-index"),
    path("status/<str:name>", views.PageView.as_view(), name="status-page"),
    path("status/<str:name>/summary.json", views.SummaryView.as_view()),
    path("status/<str:name>/feed.atom", views.FeedView.as_view()),
    path("status/<str:name>/badge/<str:component>/<str:file>", views.BadgeView.as_view()),
]
