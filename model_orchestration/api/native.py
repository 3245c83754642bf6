"""`/models/chat` and its like, and what two earlier clients ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from model_orchestration.api.calling import ModelCallView, answer_headers
from model_orchestration.calls.answering import Served
from model_orchestration.calls.own_service import native_answer
from model_orchestration.catalog import current_catalog
from model_orchestration.models import RequestType
from model_orchestration.native_dialect import (
    as_chat,
    as_completion,
    as_embedding,
    as_generation,
    as_image,
    text_of,
)
from model_orchestration.service_actions import ServiceOffer, offer_of, read_native

Body = Mapping[str, Any]
described = extend_schema(request=OpenApiTypes.OBJECT, responses=OpenApiTypes.OBJECT)


class NativeView(ModelCallView):
    """A view that serves a request whose model may be chosen by its provider, or not at all."""

    def ask(self, request: Any, request_type: RequestType, body: Body) -> Served:
        """Have a model answer; the one that is named, or the usual one."""
        choices = current_catalog().choices
        model, call = self.read_call(
            lambda given: read_native(request_type, given, body, choices), request.data
        )
        return self.serve(request, call, model)

    def answer(self, request: Any, request_type: RequestType, body: Body) -> Response:
        return self.wrap(self.ask(request, request_type, body))

    def wrap(self, served: Served) -> Response:
        """Return an answer with what it was."""
        return Response(native_answer(served), headers=answer_headers(served))


class NativeChatView(NativeView):
    """`/models/chat`."""

    @described
    def post(self, request: Any) -> Response:
        """Have a model go on with a conversation; `model_id` or `provider` says which."""
        return self.answer(request, RequestType.CHAT, as_chat(request.data))


class NativeCompletionView(NativeView):
    """`/models/completion`."""

    @described
    def post(self, request: Any) -> Response:
        """Have a model go on with a text; `model_id` or `provider` says which."""
        return self.answer(request, RequestType.COMPLETION, as_completion(request.data))


class NativeEmbeddingView(NativeView):
    """`/models/embedding`."""

    @described
    def post(self, request: Any) -> Response:
        """Have a model turn texts into vectors; `model_id` or `provider` says which."""
        return self.answer(request, RequestType.EMBEDDING, as_embedding(request.data))


class NativeImageView(NativeView):
    """`/models/image`."""

    @described
    def post(self, request: Any) -> Response:
        """Have a model draw images; `model_id` or `provider` says which."""
        return self.answer(request, RequestType.IMAGE_GENERATION, as_image(request.data))


class TaskView(NativeView):
    """A view that has a model do a task of a team, and answers what it was asked for."""

    action = ""

    @described
    def post(self, request: Any) -> Response:
        """Have a model plan a task, do one, or review a plan."""
        offer: ServiceOffer = offer_of(self.action)
        body = offer.body_of(request.data)
        served = self.ask(request, offer.request_type, body)
        return Response(offer.result(served.body), headers=answer_headers(served))


class PlanView(TaskView):
    """`/models/plans/execution`."""

    action = "generate_execution_plan"


class TaskExecutionView(TaskView):
    """`/models/tasks/execute`."""

    action = "execute_task"


class PlanReviewView(TaskView):
    """`/models/plans/review`."""

    action = "review_plan"


class GenerateView(NativeView):
    """`/generate`."""

    @described
    def post(self, request: Any) -> Response:
        """Have a model answer a `prompt`, or a `message` with its `context`, with a text."""
        served = self.ask(request, RequestType.CHAT, as_generation(request.data))
        text = text_of(served.body)
        body = {
            "response": text,
            "text": text,
            "model_id": served.target.model,
            "provider": served.target.provider,
            "request_id": served.accepted.request_id,
            "usage": served.body["usage"],
        }
        return Response(body, headers=answer_headers(served))


class PlainChatView(NativeView):
    """`/chat/completions`."""

    @described
    def post(self, request: Any) -> Response:
        """Have a model go on with a conversation; the usual one, unless `model_id` says which."""
        served = self.ask(request, RequestType.CHAT, as_chat(request.data))
        return Response(served.body, headers=answer_headers(served))


class PlainEmbeddingView(NativeView):
    """`/embeddings`."""

    @described
    def post(self, request: Any) -> Response:
        """Have a model turn `texts` into vectors; the usual one, unless `model_id` says which."""
        served = self.ask(request, RequestType.EMBEDDING, as_embedding(request.data))
        vectors = [each.get("embedding") for each in served.body["data"]]
        body = {"embeddings": vectors, "model_id": served.target.model}
        return Response({**served.body, **body}, headers=answer_headers(served))
