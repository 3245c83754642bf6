"""`/v1/messages`: the endpoint of Anthropic's API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from core.api.errors import problem_response
from model_orchestration.anthropic_dialect import (
    AnthropicWriter,
    anthropic_error,
    message_of,
    read_messages,
)
from model_orchestration.api.calling import ModelCallView, answer_headers


class MessagesView(ModelCallView):
    """`/v1/messages`."""

    @extend_schema(request=OpenApiTypes.OBJECT, responses=OpenApiTypes.OBJECT)
    def post(self, request: Any) -> Response:
        """Have a model go on with a conversation, as Anthropic's API does.

        Any model serves it; those of Anthropic are given the request as it is.
        """
        asked, call = self.read_call(read_messages, request.data)
        if call.stream:
            return self.stream(request, call, asked, AnthropicWriter())
        served = self.serve(request, call, asked)
        body = message_of(served.body, served.native, model=served.target.model, usage=served.usage)
        return Response(body, headers=answer_headers(served))

    def get_exception_handler(self) -> Callable[..., Response]:
        return anthropic_problem


def anthropic_problem(error: Exception, context: Mapping[str, Any]) -> Response:
    """Tell an error as Anthropic's API does, with the status and headers that it has anywhere."""
    response = problem_response(error, context)
    told = response.data
    body = anthropic_error(told["status"], told["detail"])
    headers = dict(response.items())
    return Response(body, status=response.status_code, headers=headers)
