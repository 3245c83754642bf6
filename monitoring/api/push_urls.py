"""Routes that jobs call."""

from django.urls import path

from monitoring.api.push_views import PushView

urlpatterns = [
    path("push/<str:token>", PushView.as_view(), name="push"),
    path("push/<str:token>/<str:word>", PushView.as_view()),
]
