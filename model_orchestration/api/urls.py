"""Routes of model orchestration; written without trailing slashes."""

from django.urls import path

from model_orchestration.api import openai

urlpatterns = [
    path("v1/chat/completions", openai.ChatView.as_view()),
    path("v1/completions", openai.CompletionView.as_view()),
    path("v1/embeddings", openai.EmbeddingView.as_view()),
    path("v1/models", openai.ServedModelViewSet.as_view({"get": "list"})),
    path("v1/models/<str:pk>", openai.ServedModelViewSet.as_view({"get": "retrieve"})),
]
