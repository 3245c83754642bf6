"""Sends replies: bodies at once, streams in pieces, and breaks them where a fault says so."""

from __future__ import annotations

import asyncio

from aiohttp import web

from reference_services.model_server.errors import LocalProviderError, anthropic_error, openai_error
from reference_services.model_server.incoming import ANTHROPIC, protocol_of
from reference_services.model_server.replies import RawReply, Reply, WireEvent, WireStream
from reference_services.model_server.state import REQUEST_ID, STATE, ParsedRequest

PAGE = "<html><body><h1>Down for maintenance</h1></body></html>"


async def send(request: web.Request, asked: ParsedRequest, reply: Reply) -> web.StreamResponse:
    """Send the reply and note how it ended."""
    if asked.fault.kind == "not_json":
        return web.Response(text=PAGE, content_type="text/html")
    if isinstance(reply, RawReply):
        return web.Response(body=reply.body, content_type=reply.content_type)
    if not isinstance(reply, WireStream):
        return web.json_response(reply)
    return await _send_stream(request, asked, reply)


async def _send_stream(
    request: web.Request, asked: ParsedRequest, stream: WireStream
) -> web.StreamResponse:
    name = "request-id" if protocol_of(request) == ANTHROPIC else "x-request-id"
    headers = {"Cache-Control": "no-cache", name: request[REQUEST_ID]}
    response = web.StreamResponse(headers=headers)
    response.content_type, response.charset = "text/event-stream", "utf-8"
    await response.prepare(request)
    fault, received = asked.fault, asked.received
    pace = (fault.token_ms or request.app[STATE].token_ms) / 1000
    padding = fault.bytes if fault.kind == "large_event" else 0
    breaks = fault.kind in {"cut_stream", "ended_stream", "error_in_stream"}
    for event in stream.events:
        if breaks and event.is_piece and received.pieces >= fault.after:
            return await _break(request, response, asked)
        if event.is_piece and pace:
            await asyncio.sleep(pace)
        await response.write(event.encoded(padding))
        padding = 0
        received.pieces += event.is_piece
    await response.write(stream.end)
    await response.write_eof()
    return response


async def _break(
    request: web.Request, response: web.StreamResponse, asked: ParsedRequest
) -> web.StreamResponse:
    asked.received.outcome = "cut"
    if asked.fault.kind == "cut_stream":
        if request.transport is not None:
            request.transport.abort()
        return response
    if asked.fault.kind == "error_in_stream":
        await response.write(_error_event(request).encoded())
    await response.write_eof()
    return response


def _error_event(request: web.Request) -> WireEvent:
    error = LocalProviderError("overloaded", "The model is overloaded. Please try again later.")
    if protocol_of(request) == ANTHROPIC:
        _, body = anthropic_error(error, request_id=request[REQUEST_ID])
        return WireEvent(body, name="error")
    return WireEvent(openai_error(error)[1])
