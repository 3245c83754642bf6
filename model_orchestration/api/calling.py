"""What all endpoints share that have a model answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import APIView

from core.api.errors import problem_response
from core.api.exchange import STREAM_KEY, StreamSlot
from core.api.idempotency import do_once, read_key
from core.api.suspension import once, result_of
from core.exceptions import IntegrationError
from core.media_types import is_json
from model_orchestration.acceptance import AcceptedRequest, Purpose, admit, as_spender
from model_orchestration.adapters.base import ModelCall
from model_orchestration.calls.answering import Served, begin_answer
from model_orchestration.calls.attempts import MALFORMED
from model_orchestration.calls.streams import ModelStream, StreamWriter
from model_orchestration.dialects import openai_error, openai_refusal
from model_orchestration.exceptions import InvalidModelRequest

LONGEST_ID = 100
ReadCall = Callable[[Mapping[str, Any]], tuple[str, ModelCall]]


class StreamNotGiven(exceptions.APIException):
    """A stream is asked of who answers whole only."""

    status_code = 406
    default_detail = (
        "Streams are given by the web process of the hub. Ask without stream, or ask there."
    )


class ModelCallView(APIView):
    """A view that has a model answer: errors are told in the dialect of its route."""

    scopes = {"POST": "models:use"}

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        name = request.method.lower()
        if name == "post" and is_json(request.content_type) and read_key(request):
            setattr(self, name, partial(self._do_once, getattr(self, name)))

    def _do_once(
        self, handler: Callable[..., Response], request: Any, *args: Any, **kwargs: Any
    ) -> Response:
        """Answer as the first request with the same key was answered, which alone is sent."""
        body = request.data
        if isinstance(body, dict) and body.get("stream"):
            sentence = "A stream is not kept for a second request with its Idempotency-Key."
            raise InvalidModelRequest.at("stream", sentence)
        caller = request.user.identity
        return do_once(
            request, lambda: handler(request, *args, **kwargs), caller=caller, calls_out=True
        )

    def read_call(self, read: ReadCall, body: Mapping[str, Any]) -> tuple[str, ModelCall]:
        """Return the model that a body asks for, and the call. Raises: InvalidModelRequest."""
        try:
            return read(body)
        except MALFORMED as error:
            sentence = f"A part of the request is of the wrong type ({error})."
            raise InvalidModelRequest(sentence) from None

    def serve(self, request: Any, call: ModelCall, asked: str) -> Served:
        """Have a model answer; under the front, no thread waits for it meanwhile."""
        accepted = once(request, "accepted", lambda: admit(call, asked, _purpose_of(request)))
        return result_of(request, "answer", lambda: begin_answer(accepted))

    def stream(self, request: Any, call: ModelCall, asked: str, writer: StreamWriter) -> Response:
        """Begin a stream, and leave it to the front to send it."""
        slot: StreamSlot | None = request.META.get(STREAM_KEY)
        if slot is None:
            raise StreamNotGiven
        accepted = admit(call, asked, _purpose_of(request))
        stream = ModelStream(accepted, writer)
        stream.begin()
        slot.stream = stream
        return Response(status=200)


def _purpose_of(request: Any) -> Purpose:
    return purpose_of(request.user, request.headers.get, request.data)


class OpenAIView(ModelCallView):
    """A view that tells errors as OpenAI's API does."""

    def get_exception_handler(self) -> Callable[..., Response]:
        return openai_problem


def openai_problem(error: Exception, context: Mapping[str, Any]) -> Response:
    """Tell an error as OpenAI's API does, with the status and headers that it has anywhere."""
    response = problem_response(error, context)
    told = response.data
    if isinstance(error, IntegrationError):
        body = openai_refusal(error)
    else:
        param = next(iter(told["errors"]), None)
        body = openai_error(told["status"], told["detail"], code=told["code"], param=param)
    return Response(body, status=response.status_code, headers=dict(response.items()))


def purpose_of(
    caller: Any, header: Callable[[str], str | None], body: Mapping[str, Any]
) -> Purpose:
    """Return who asks and what for, as the key, the headers and the body say.

    `header` is asked for names in lower case.
    """
    metadata = body.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}

    def told(name: str) -> str:
        given = header(f"x-{name.replace('_', '-')}")
        value = given or body.get(name) or metadata.get(name) or ""
        return value.replace("\0", "")[:LONGEST_ID] if isinstance(value, str) else ""

    user = body.get("user")
    return Purpose(
        as_spender(
            caller,
            project_id=told("project_id") or header("openai-project") or "",
            user_id=told("user_id") or (user if isinstance(user, str) else "").replace("\0", ""),
        ),
        task_id=told("task_id"),
        task_type=told("task_type")[:50],
    )


def answer_headers(served: Served) -> dict[str, str]:
    """Return what an answer tells in headers."""
    return {
        "X-Cost-USD": f"{served.cost:f}",
        **head_of(
            served.accepted,
            model=served.target.model,
            reason=served.reason,
            attempts=served.attempts,
        ),
    }


def head_of(accepted: AcceptedRequest, *, model: str, reason: str, attempts: int) -> dict[str, str]:
    """Return the headers of any answer: which request it was, which model served it, and why."""
    headers = {
        "X-Model-Request-ID": accepted.request_id,
        "X-Model": model,
        "X-Model-Reason": reason,
        "X-Attempts": str(attempts),
    }
    if accepted.plan.route:
        headers["X-Route"] = accepted.plan.route
    if accepted.warnings:
        texts = (json.dumps(text) for text in accepted.warnings)
        headers["Warning"] = ", ".join(f"299 - {text}" for text in texts)
    return headers
