"""Routes of model orchestration; written without trailing slashes."""

from typing import Any

from django.urls import path
from rest_framework.routers import SimpleRouter

from model_orchestration.api import audio, native, openai, performance
from model_orchestration.api.anthropic import MessagesView
from model_orchestration.api.configuration import (
    BudgetViewSet,
    ContentPolicyViewSet,
    ModelViewSet,
    QuotaViewSet,
    RouteViewSet,
)
from model_orchestration.api.prompts import PromptViewSet
from model_orchestration.api.record import RequestViewSet, UsageView

router = SimpleRouter(trailing_slash=False)
# What is below `/models` comes before the models themselves.
router.register("models/routes", RouteViewSet, basename="model-route")
router.register("models/budgets", BudgetViewSet, basename="model-budget")
router.register("models/content-policies", ContentPolicyViewSet, basename="content-policy")
router.register("models/prompts", PromptViewSet, basename="prompt")
router.register("models/requests", RequestViewSet, basename="model-request")

models = SimpleRouter(trailing_slash=False)
models.register("models", ModelViewSet, basename="model")

upkeep: Any = performance.PerformanceUpkeepViewSet
quota: Any = {"get": "retrieve", "put": "set_quota", "delete": "remove"}

urlpatterns = [
    path("v1/chat/completions", openai.ChatView.as_view()),
    path("v1/completions", openai.CompletionView.as_view()),
    path("v1/embeddings", openai.EmbeddingView.as_view()),
    path("v1/images/generations", openai.ImageView.as_view()),
    path("v1/audio/transcriptions", audio.TranscriptionView.as_view()),
    path("v1/audio/translations", audio.TranslationView.as_view()),
    path("v1/messages", MessagesView.as_view()),
    path("v1/models", openai.ServedModelViewSet.as_view({"get": "list"})),
    path("v1/models/<str:pk>", openai.ServedModelViewSet.as_view({"get": "retrieve"})),
    path("models/chat", native.NativeChatView.as_view()),
    path("models/completion", native.NativeCompletionView.as_view()),
    path("models/embedding", native.NativeEmbeddingView.as_view()),
    path("models/image", native.NativeImageView.as_view()),
    path("models/audio/transcription", audio.NativeTranscriptionView.as_view()),
    path("models/audio/translation", audio.NativeTranslationView.as_view()),
    path("models/plans/execution", native.PlanView.as_view()),
    path("models/plans/review", native.PlanReviewView.as_view()),
    path("models/tasks/execute", native.TaskExecutionView.as_view()),
    path("generate", native.GenerateView.as_view()),
    path("chat/completions", native.PlainChatView.as_view()),
    path("embeddings", native.PlainEmbeddingView.as_view()),
    path("models/usage", UsageView.as_view()),
    path("usage", UsageView.as_view()),
    path("models/quotas", QuotaViewSet.as_view({"get": "list"})),
    path("models/quotas/<str:pk>", QuotaViewSet.as_view(quota)),
    path("models/budgets/<str:pk>/standing", BudgetViewSet.as_view({"get": "standing"})),
    path("models/<str:pk>/performance", performance.ModelPerformanceView.as_view()),
    path("performance/models", performance.PerformanceView.as_view()),
    path("performance/best", performance.BestModelView.as_view()),
    path("performance/history", performance.HistoryViewSet.as_view({"get": "list"})),
    path(
        "performance/feedback",
        performance.FeedbackViewSet.as_view({"get": "list", "post": "give"}),
    ),
    path(
        "performance/feedback/<str:pk>",
        performance.FeedbackViewSet.as_view({"get": "retrieve"}),
    ),
    path("performance/reset", upkeep.as_view({"post": "reset"})),
    path("performance/update-history", upkeep.as_view({"post": "update_history"})),
    *router.urls,
    *models.urls,
]
