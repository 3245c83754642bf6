"""Requests to models in their common form, for an event loop that answers them without a thread.

What is unusual is left to the views, as is what cannot be read: they tell what is wrong with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from rest_framework.response import Response

from core.api.exchange import WebAnswer, WebRequest
from core.api.idempotency import HEADER
from core.api.plain_requests import PlainRequest, read_request
from core.exceptions import IntegrationError
from model_orchestration.acceptance import AskedRequest
from model_orchestration.adapters.base import ModelCall
from model_orchestration.anthropic_dialect import AnthropicWriter, message_of, read_messages
from model_orchestration.api.anthropic import anthropic_problem
from model_orchestration.api.calling import (
    ReadCall,
    answer_headers,
    openai_problem,
    purpose_of,
)
from model_orchestration.calls.answering import Served
from model_orchestration.calls.attempts import MALFORMED
from model_orchestration.calls.streams import StreamWriter
from model_orchestration.dialects import OpenAIWriter
from model_orchestration.prompt_library import names_prompt
from model_orchestration.reading import read_chat, read_completion, read_embedding, read_image

SCOPE = "models:use"
_HEADERS = (("Allow", "POST, OPTIONS"), ("Vary", "Accept"))


@dataclass(frozen=True, slots=True)
class WireDialect:
    """How requests of a route are read, and how it tells answers, streams and errors."""

    read: ReadCall
    show: Callable[[Served], Any]
    problem: Callable[[Exception, Mapping[str, Any]], Response]
    writer: Callable[[ModelCall], StreamWriter]


@dataclass(frozen=True, slots=True)
class DirectRequest:
    """A request to a model that may be asked, and in whose dialect it is answered."""

    plain: PlainRequest
    dialect: WireDialect
    asked: AskedRequest

    def writer(self) -> StreamWriter:
        return self.dialect.writer(self.asked.call)

    def answer(self, served: Served) -> WebAnswer:
        """Return what the view answers."""
        body = json.dumps(self.dialect.show(served), ensure_ascii=False, separators=(",", ":"))
        headers = (*answer_headers(served).items(), *_HEADERS)
        return self.plain.answer(200, body.encode(), headers)

    def refusal(self, error: Exception) -> WebAnswer:
        """Return what the view answers where it raises an error."""
        with structlog.contextvars.bound_contextvars(request_id=self.plain.web.request_id):
            told = self.dialect.problem(error, {})
        headers = tuple(pair for pair in told.headers.items() if pair[0] != "Content-Type")
        return self.plain.answer(
            told.status_code, json.dumps(told.data).encode(), (*headers, *_HEADERS)
        )


def read_direct(request: WebRequest) -> DirectRequest | None:
    """Return what a request asks of a model; None where the view is to answer.

    Asks nobody: its key has to be known.
    """
    dialect = DIALECTS.get(request.path)
    if dialect is None or HEADER.lower() in request.headers:
        return None
    plain = read_request(request, SCOPE, asks=False)
    if plain is None:
        return None
    if dialect.read is read_chat and names_prompt(plain.body):
        return None  # to look it up takes the database
    try:
        asked, call = dialect.read(plain.body)
    except (IntegrationError, *MALFORMED):
        return None
    purpose = purpose_of(plain.caller, request.headers.get, plain.body)
    return DirectRequest(plain, dialect, AskedRequest(call, asked, purpose))


def _openai_writer(call: ModelCall) -> StreamWriter:
    return OpenAIWriter(wants_usage=call.wants_usage)


def _anthropic_writer(_: ModelCall) -> StreamWriter:
    return AnthropicWriter()


def _body(served: Served) -> Any:
    return served.told_body


def _message(served: Served) -> Any:
    model, usage = served.target.model, served.usage
    return message_of(served.body, served.native, model=model, usage=usage)


DIALECTS: Mapping[str, WireDialect] = {
    "/v1/chat/completions": WireDialect(read_chat, _body, openai_problem, _openai_writer),
    "/v1/completions": WireDialect(read_completion, _body, openai_problem, _openai_writer),
    "/v1/embeddings": WireDialect(read_embedding, _body, openai_problem, _openai_writer),
    "/v1/images/generations": WireDialect(read_image, _body, openai_problem, _openai_writer),
    "/v1/messages": WireDialect(read_messages, _message, anthropic_problem, _anthropic_writer),
}
