"""Stand-ins for providers of models: real servers that speak their wire formats, as told."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from registry.calls.event_loop_thread import LoopThread

Act = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]


@dataclass
class Received:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Provider:
    """A server that answers each request with the next of `acts`, and otherwise by `usual`."""

    usual: Act
    acts: deque[Act] = field(default_factory=deque)
    received: list[Received] = field(default_factory=list)
    port: int = 0
    # Streams that their reader left.
    left: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def next(self, *acts: Act) -> None:
        self.acts.extend(acts)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        is_json = request.content_type == "application/json"
        body = await request.json() if request.can_read_body and is_json else {}
        self.received.append(Received(request.path, dict(request.headers), body))
        act = self.acts.popleft() if self.acts else self.usual
        try:
            return await act(request, body)
        except (ConnectionError, asyncio.CancelledError):
            self.left.set()
            raise


def refusing(status: int, error: dict[str, Any], **headers: str) -> Act:
    """Answer with an error of OpenAI's API."""

    async def act(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response({"error": error}, status=status, headers=names)

    return act


def streaming(
    events: Sequence[Any],
    *,
    done: bool = True,
    cut: bool = False,
    wait: threading.Event | None = None,
) -> Act:
    """Stream events; with `wait`, all but the first once that is set; with `cut`, break off."""

    async def act(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for place, event in enumerate(events):
            if place and wait is not None:
                await asyncio.to_thread(wait.wait, 20)
            await response.write(_wire(event))
        if cut:
            assert request.transport is not None
            request.transport.abort()
        elif done:
            await response.write(b"data: [DONE]\n\n")
        return response

    return act


def _wire(event: Any) -> bytes:
    if isinstance(event, bytes):
        return event
    if isinstance(event, tuple):
        name, data = event
        return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
    return f"data: {json.dumps(event)}\n\n".encode()


def chunk(text: str = "", **more: Any) -> dict[str, Any]:
    """A chunk of a stream of OpenAI's chat."""
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": None}
    named = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**named, "choices": [choice], **more}


def last_chunk(**usage: Any) -> list[dict[str, Any]]:
    """The chunks that end a stream, and the usage."""
    end = chunk()
    end["choices"][0]["finish_reason"] = "stop"
    return [end, {**chunk(), "choices": [], "usage": usage_of(**usage)}] if usage else [end]


def usage_of(
    prompt: int, completion: int, *, cached: int = 0, reasoning: int = 0
) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def answering(text: str = "Hello.", prompt: int = 10, completion: int = 5, **more: Any) -> Act:
    """Answer a chat whole."""

    async def act(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        message = {"role": "assistant", "content": text, **more.get("message", {})}
        finish = more.get("finish_reason", "stop")
        document = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": body.get("model"),
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": usage_of(prompt, completion, **more.get("usage", {})),
        }
        return web.json_response(document)

    return act


async def usual_openai(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """Answer as OpenAI does to whatever is asked."""
    if request.path.endswith("/embeddings"):
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        data = [
            {"object": "embedding", "index": at, "embedding": [float(len(text)), 0.5]}
            for at, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": 4, "total_tokens": 4}
        return web.json_response(
            {"object": "list", "data": data, "model": body["model"], "usage": usage}
        )
    if request.path.endswith("/models"):
        return web.json_response({"object": "list", "data": [{"id": "m", "object": "model"}]})
    if request.path.endswith("chat/completions"):
        if body.get("stream"):
            events = [chunk("Hel"), chunk("lo."), *last_chunk(prompt=10, completion=5)]
            return await streaming(events)(request, body)
        return await answering()(request, body)
    document = {
        "id": "cmpl-1", "object": "text_completion", "created": 1, "model": body["model"],
        "choices": [{"index": 0, "text": "Hello.", "finish_reason": "stop", "logprobs": None}],
        "usage": usage_of(3, 2),
    }  # fmt: skip
    return web.json_response(document)


@contextmanager
def provider_server(usual: Act = usual_openai) -> Iterator[Provider]:
    """Serve a stand-in until the block ends."""
    provider, loop = Provider(usual), LoopThread("provider")

    async def start() -> web.AppRunner:
        app = web.Application(handler_args={}, client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", provider.handle)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        provider.port = runner.addresses[0][1]
        return runner

    runner = loop.run(start())
    try:
        yield provider
    finally:
        loop.run(runner.cleanup())
        loop.stop()


async def usual_anthropic(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """Answer as Anthropic does: with a tool where there is one, otherwise with a text."""
    blocks: list[dict[str, Any]] = [{"type": "text", "text": "Hello."}]
    if body.get("tools"):
        given = {"type": "tool_use", "id": "toolu_1", "name": body["tools"][0]["name"]}
        blocks.append({**given, "input": {"city": "Rome"}})
    usage = {
        "input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20,
        "output_tokens": 5,
    }  # fmt: skip
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": body["model"],
        "content": blocks, "stop_reason": "tool_use" if body.get("tools") else "end_turn",
        "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    if not body.get("stream"):
        return web.json_response(message)
    return await streaming(_anthropic_events(message), done=False)(request, body)


def _anthropic_events(message: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    usage = {**message["usage"], "output_tokens": 1}
    begun = {**message, "content": [], "stop_reason": None, "usage": usage}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": begun}, {"type": "ping"}]
    for at, block in enumerate(message["content"]):
        empty: dict[str, Any] = {"text": ""} if block["type"] == "text" else {"input": {}}
        events.append(
            {"type": "content_block_start", "index": at, "content_block": {**block, **empty}}
        )
        if block["type"] == "text":
            deltas = [{"type": "text_delta", "text": part} for part in ("Hel", "lo.")]
        else:
            text = json.dumps(block["input"])
            deltas = [
                {"type": "input_json_delta", "partial_json": part} for part in (text[:5], text[5:])
            ]
        events += [{"type": "content_block_delta", "index": at, "delta": each} for each in deltas]
        events.append({"type": "content_block_stop", "index": at})
    ended = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    events.append({"type": "message_delta", "delta": ended, "usage": {"output_tokens": 5}})
    events.append({"type": "message_stop"})
    return [(str(event["type"]), event) for event in events]
