"""Anthropic's messages: a body to a conversation, and its answer to a message or to events."""

from __future__ import annotations

from typing import Any

from reference_services.model_server import chat
from reference_services.model_server.catalog import MODELS, LocalModel
from reference_services.model_server.chat import ChatAnswer, ChatConversation, ChatTool, ChatTurn
from reference_services.model_server.errors import invalid
from reference_services.model_server.fields import BodyFields, checked_schema, content_text
from reference_services.model_server.ngram import TokenSampling
from reference_services.model_server.openai_chat import AnswerFrame
from reference_services.model_server.replies import Reply, WireEvent, WireStream
from service_integration_client.strict_json import parse_json

JsonObject = dict[str, Any]
PUBLISHED_AT = "2025-12-01T00:00:00Z"
STOP_REASONS = {
    chat.STOPPED: "end_turn",
    chat.LENGTH: "max_tokens",
    chat.STOP_SEQUENCE: "stop_sequence",
    chat.TOOL: "tool_use",
    chat.REFUSED: "refusal",
}


def read(body: JsonObject, model: LocalModel, *, refuses: bool = False) -> ChatConversation:
    """Return the conversation of a request. Raises: LocalProviderError."""
    fields = BodyFields(body)
    if "max_tokens" not in fields:
        raise invalid("max_tokens: Field required")
    return _conversation(fields, model, refuses=refuses)


def _conversation(fields: BodyFields, model: LocalModel, *, refuses: bool) -> ChatConversation:
    if "messages" not in fields:
        raise invalid("messages: Field required")
    system, _ = content_text(fields.raw("system"), "system")
    turns = [ChatTurn("system", system)] if system else []
    for index, row in enumerate(fields.rows("messages")):
        turns += _turn(row, index)
    return ChatConversation(
        model=model,
        turns=tuple(turns),
        max_tokens=fields.integer("max_tokens", low=1, high=10**9),
        sampling=TokenSampling(
            temperature=fields.number("temperature", low=0, high=1, default=1),
            top_p=fields.number("top_p", low=0, high=1, default=1),
        ),
        stop=fields.texts("stop_sequences", most=100),
        tools=tuple(_tool(row, index) for index, row in enumerate(fields.rows("tools"))),
        tool_choice=_tool_choice(fields.table("tool_choice")),
        refuses=refuses,
    )


def _turn(row: Any, index: int) -> list[ChatTurn]:
    role = row.get("role") if isinstance(row, dict) else None
    if role != "user" and role != "assistant":
        raise invalid(f'messages.{index}.role: Input should be "user" or "assistant"')
    content = row.get("content")
    text, pictures = content_text(content, f"messages.{index}.content")
    is_result = isinstance(content, list) and any(
        part.get("type") == "tool_result" for part in content if isinstance(part, dict)
    )
    return [ChatTurn("tool" if is_result else role, text, pictures)]


def _tool(row: Any, index: int) -> ChatTool:
    name = row.get("name") if isinstance(row, dict) else None
    if not isinstance(name, str):
        raise invalid(f"tools.{index}.name: Field required")
    schema = row.get("input_schema")
    return ChatTool(
        name,
        str(row.get("description") or ""),
        checked_schema(schema, "tools") if isinstance(schema, dict) else {},
    )


def _tool_choice(choice: JsonObject) -> str:
    kind = str(choice.get("type", "auto"))
    return str(choice.get("name")) if kind == "tool" else {"any": "required"}.get(kind, kind)


def count(body: JsonObject, model: LocalModel) -> JsonObject:
    conversation = _conversation(BodyFields(body), model, refuses=False)
    return {"input_tokens": conversation.prompt_tokens()}


def models_body() -> JsonObject:
    rows = [model_body(model) for model in MODELS.values() if model.kind == "chat"]
    ends = {"first_id": rows[0]["id"], "last_id": rows[-1]["id"]}
    return {"data": rows, "has_more": False, **ends}


def model_body(model: LocalModel) -> JsonObject:
    return {
        "type": "model",
        "id": model.name,
        "display_name": model.name,
        "created_at": PUBLISHED_AT,
        "max_input_tokens": model.context,
        "max_tokens": model.longest_answer,
    }


def respond(body: JsonObject, conversation: ChatConversation, told: AnswerFrame) -> Reply:
    """Return the message of a request, whole or as events, as its body asks."""
    answer = chat.answer(conversation)
    message: JsonObject = {
        "id": told.id,
        "type": "message",
        "role": "assistant",
        "model": told.model,
        "content": [_block(answer, told)],
        "stop_reason": STOP_REASONS[answer.finish],
        "stop_sequence": answer.stop_sequence,
    }
    total = _usage(conversation, told, output_tokens=answer.tokens)
    if not BodyFields(body).flag("stream"):
        return {**message, "usage": total} if told.has_usage else message
    return WireStream(tuple(_events(message, answer, total, told)))


def _usage(conversation: ChatConversation, told: AnswerFrame, *, output_tokens: int) -> JsonObject:
    """Return the usage; tokens read from the cache are counted apart from the other input."""
    return {
        "input_tokens": conversation.prompt_tokens() - told.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": told.cached_tokens,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }


def _block(answer: ChatAnswer, told: AnswerFrame) -> JsonObject:
    if not answer.tool:
        return {"type": "text", "text": answer.text}
    try:
        arguments = parse_json(answer.text)
    except ValueError:  # cut by max_tokens
        arguments = {}
    return {**_tool_block(answer, told), "input": arguments}


def _tool_block(answer: ChatAnswer, told: AnswerFrame) -> JsonObject:
    return {"type": "tool_use", "id": f"toolu_{told.id[-16:]}", "name": answer.tool, "input": {}}


def _events(
    message: JsonObject, answer: ChatAnswer, total: JsonObject, told: AnswerFrame
) -> list[WireEvent]:
    beginning = {**message, "content": [], "stop_reason": None, "stop_sequence": None}
    if told.has_usage:
        beginning["usage"] = {**total, "output_tokens": 1}
    block = _tool_block(answer, told) if answer.tool else {"type": "text", "text": ""}
    events = [
        _event("message_start", message=beginning),
        _event("content_block_start", index=0, content_block=block),
        _event("ping"),
    ]
    for piece in answer.pieces:
        delta = {"type": "text_delta", "text": piece}
        if answer.tool:
            delta = {"type": "input_json_delta", "partial_json": piece}
        events.append(_event("content_block_delta", is_piece=True, index=0, delta=delta))
    ended = {name: message[name] for name in ("stop_reason", "stop_sequence")}
    counted: JsonObject = (
        {"usage": {"output_tokens": total["output_tokens"]}} if told.has_usage else {}
    )
    return [
        *events,
        _event("content_block_stop", index=0),
        _event("message_delta", delta=ended, **counted),
        _event("message_stop"),
    ]


def _event(name: str, *, is_piece: bool = False, **data: Any) -> WireEvent:
    return WireEvent({"type": name, **data}, name=name, is_piece=is_piece)
