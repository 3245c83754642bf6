"""`/v1`: the endpoints of OpenAI's API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from model_orchestration.api.calling import OpenAIView, ReadCall, answer_headers
from model_orchestration.catalog import current_catalog
from model_orchestration.choosing import Target, not_found
from model_orchestration.dialects import OpenAIWriter
from model_orchestration.models import ModelStatus
from model_orchestration.prompt_library import with_prompt
from model_orchestration.reading import read_chat, read_completion, read_embedding, read_image

_ANY = OpenApiTypes.OBJECT


class ChatView(OpenAIView):
    """`/v1/chat/completions`."""

    @extend_schema(request=_ANY, responses=_ANY)
    def post(self, request: Any) -> Response:
        """Have a model go on with a conversation, as OpenAI's API does.

        `model` is the id of a model, an alias, or the name of a route; `prompt` names a prompt of
        the library, whose messages go before those that are given.
        """
        return _answer(self, request, lambda body: read_chat(with_prompt(body)))


class CompletionView(OpenAIView):
    """`/v1/completions`."""

    @extend_schema(request=_ANY, responses=_ANY)
    def post(self, request: Any) -> Response:
        """Have a model go on with a text, as OpenAI's API does."""
        return _answer(self, request, read_completion)


class EmbeddingView(OpenAIView):
    """`/v1/embeddings`."""

    @extend_schema(request=_ANY, responses=_ANY)
    def post(self, request: Any) -> Response:
        """Have a model turn texts into vectors, as OpenAI's API does."""
        return _answer(self, request, read_embedding)


class ImageView(OpenAIView):
    """`/v1/images/generations`."""

    @extend_schema(request=_ANY, responses=_ANY)
    def post(self, request: Any) -> Response:
        """Have a model draw images, as OpenAI's API does."""
        return _answer(self, request, read_image)


class ServedModelViewSet(OpenAIView, GenericViewSet[Any]):
    """`/v1/models`: what can be asked for."""

    scopes = dict.fromkeys(("list", "retrieve"), "models:use|models:read")

    @extend_schema(responses=_ANY)
    def list(self, request: Any) -> Response:
        """The models and routes that can be asked for, as OpenAI's API lists them."""
        choices = current_catalog().choices
        targets = {target.model: target for target in choices.models.values()}
        served = [each for each in targets.values() if each.status != ModelStatus.INACTIVE]
        items = [_item(each.model, each) for each in served]
        items += [_item(route.name, None) for route in choices.routes.values()]
        return Response({"object": "list", "data": items})

    @extend_schema(responses=_ANY)
    def retrieve(self, request: Any, pk: str) -> Response:
        """One of these models, as OpenAI's API tells of it."""
        choices = current_catalog().choices
        target, route = choices.models.get(pk.lower()), choices.routes.get(pk.lower())
        if target is None and route is None:
            raise not_found(pk, [*choices.models, *choices.routes])
        return Response(_item(target.model if target else pk, target))


def _answer(view: OpenAIView, request: Any, read: ReadCall) -> Response:
    asked, call = view.read_call(read, request.data)
    if call.stream:
        writer = OpenAIWriter(wants_usage=call.wants_usage)
        return view.stream(request, call, asked, writer)
    served = view.serve(request, call, asked)
    return Response(served.told_body, headers=answer_headers(served))


def _item(name: str, target: Target | None) -> dict[str, Any]:
    owner = target.provider.lower() if target else "route"
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}
