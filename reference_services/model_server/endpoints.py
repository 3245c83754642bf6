"""The endpoints: let a request in, make its answer, send it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiohttp import web

from reference_services.model_server import anthropic_messages, openai_chat, openai_others
from reference_services.model_server.catalog import LocalModel
from reference_services.model_server.chat import ChatConversation
from reference_services.model_server.errors import LocalProviderError
from reference_services.model_server.incoming import (
    ANTHROPIC,
    admit,
    admit_key,
    known_model,
    protocol_of,
    read_form,
    read_json,
)
from reference_services.model_server.openai_chat import AnswerFrame
from reference_services.model_server.replies import Reply
from reference_services.model_server.sending import send
from reference_services.model_server.state import REQUEST_ID, STATE, ParsedRequest
from reference_services.model_server.tokenizer import tokenize

JsonObject = dict[str, Any]
CHAT = ("chat",)


def _told(
    request: web.Request, asked: ParsedRequest, prefix: str, *, cached_tokens: int = 0
) -> AnswerFrame:
    is_ollama = request.path.startswith("/ollama/")
    return AnswerFrame(
        id=f"{prefix}{request[REQUEST_ID].removeprefix('req_')[:24]}",
        created=int(time.time()),
        model=asked.model_name,
        fingerprint="fp_ollama" if is_ollama else "fp_tiny1",
        cached_tokens=cached_tokens,
        has_usage=asked.fault.kind != "no_usage",
        usage_beside_choices=asked.fault.kind == "usage_beside_choices",
    )


def _cached_tokens(request: web.Request, conversation: ChatConversation) -> int:
    tokens = [token for turn in conversation.turns for token in tokenize(turn.text)]
    return request.app[STATE].prompts.read_tokens(conversation.model.name, tokens)


async def list_models(request: web.Request) -> web.StreamResponse:
    admit_key(request)
    if protocol_of(request) == ANTHROPIC:
        return web.json_response(anthropic_messages.models_body())
    return web.json_response(openai_others.models_body())


async def read_model(request: web.Request) -> web.StreamResponse:
    admit_key(request)
    model = known_model(request.match_info["name"])
    if protocol_of(request) == ANTHROPIC:
        return web.json_response(anthropic_messages.model_body(model))
    return web.json_response(openai_others.model_body(model))


async def chat_completions(request: web.Request) -> web.StreamResponse:
    asked, model = await admit(request, await read_json(request), kinds=CHAT)
    refuses = asked.fault.kind == "refused_answer"
    conversation = openai_chat.read(asked.body, model, refuses=refuses)
    told = _told(request, asked, "chatcmpl-", cached_tokens=_cached_tokens(request, conversation))
    return await send(request, asked, openai_chat.respond(asked.body, conversation, told))


async def completions(request: web.Request) -> web.StreamResponse:
    asked, model = await admit(request, await read_json(request), kinds=CHAT)
    conversations = openai_others.read_completion(asked.body, model)
    told = _told(request, asked, "cmpl-")
    return await send(request, asked, openai_others.completion(asked.body, conversations, told))


async def embeddings(request: web.Request) -> web.StreamResponse:
    asked, model = await admit(request, await read_json(request), kinds=("embedding",))
    told = _told(request, asked, "embd-")
    return await send(request, asked, openai_others.embeddings(asked.body, model, told))


async def images(request: web.Request) -> web.StreamResponse:
    asked, _ = await admit(request, await read_json(request), kinds=("image",))
    told = _told(request, asked, "img-")
    state = request.app[STATE]

    def url_of(drawn: bytes) -> str:
        return f"{request.url.origin()}/images/{state.keep_picture(drawn)}.png"

    reply = await asyncio.to_thread(openai_others.images, asked.body, told, url_of=url_of)
    return await send(request, asked, reply)


async def read_picture(request: web.Request) -> web.StreamResponse:
    data = request.app[STATE].picture(request.match_info["name"])
    if data is None:
        raise LocalProviderError("unknown_path", "The picture is not kept any more.")
    return web.Response(body=data, content_type="image/png")


async def transcriptions(request: web.Request) -> web.StreamResponse:
    return await _audio(request, translates=False)


async def translations(request: web.Request) -> web.StreamResponse:
    return await _audio(request, translates=True)


async def _audio(request: web.Request, *, translates: bool) -> web.StreamResponse:
    asked, _ = await admit(request, await read_form(request), kinds=("audio",))
    told = _told(request, asked, "aud-")
    reply: Reply = await asyncio.to_thread(
        openai_others.audio, asked.body, told, translates=translates
    )
    return await send(request, asked, reply)


async def messages(request: web.Request) -> web.StreamResponse:
    asked, model = await admit(request, await read_json(request), kinds=CHAT)
    refuses = asked.fault.kind == "refused_answer"
    conversation = anthropic_messages.read(asked.body, model, refuses=refuses)
    told = _told(request, asked, "msg_", cached_tokens=_cached_tokens(request, conversation))
    return await send(request, asked, anthropic_messages.respond(asked.body, conversation, told))


async def count_tokens(request: web.Request) -> web.StreamResponse:
    admit_key(request)
    body = await read_json(request)
    model: LocalModel = known_model(str(body.get("model")))
    return web.json_response(anthropic_messages.count(body, model))
