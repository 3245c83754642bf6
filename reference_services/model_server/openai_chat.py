"""OpenAI's chat completions: a body to a conversation, and its answers to a body or to chunks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from reference_services.model_server import chat
from reference_services.model_server.catalog import LocalModel
from reference_services.model_server.chat import ChatAnswer, ChatConversation, ChatTool, ChatTurn
from reference_services.model_server.errors import invalid
from reference_services.model_server.fields import BodyFields, checked_schema, content_text
from reference_services.model_server.ngram import TokenSampling
from reference_services.model_server.replies import Reply, WireEvent, WireStream

JsonObject = dict[str, Any]
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
FINISH = {
    chat.STOPPED: "stop",
    chat.STOP_SEQUENCE: "stop",
    chat.LENGTH: "length",
    chat.TOOL: "tool_calls",
    chat.REFUSED: "stop",
}
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class AnswerFrame:
    """What an answer says beside its text: ids, times, and which usage."""

    id: str
    created: int
    model: str
    fingerprint: str
    cached_tokens: int = 0
    has_usage: bool = True
    usage_beside_choices: bool = False


def sampling_of(fields: BodyFields) -> TokenSampling:
    return TokenSampling(
        temperature=fields.number("temperature", low=0, high=2, default=1),
        top_p=fields.number("top_p", low=0, high=1, default=1),
        presence_penalty=fields.number("presence_penalty", low=-2, high=2, default=0),
        frequency_penalty=fields.number("frequency_penalty", low=-2, high=2, default=0),
        seed=fields.integer("seed", low=-(2**63), high=2**63 - 1),
    )


def read(body: JsonObject, model: LocalModel, *, refuses: bool = False) -> ChatConversation:
    """Return the conversation of a request. Raises: LocalProviderError."""
    fields = BodyFields(body)
    fields.required("messages")
    limits = [
        fields.integer(name, low=1, high=10**9) for name in ("max_completion_tokens", "max_tokens")
    ]
    return ChatConversation(
        model=model,
        turns=tuple(_turn(row, index) for index, row in enumerate(fields.rows("messages"))),
        max_tokens=limits[0] or limits[1],
        sampling=sampling_of(fields),
        stop=fields.texts("stop", most=4),
        tools=tuple(_tool(row, index) for index, row in enumerate(fields.rows("tools"))),
        tool_choice=_tool_choice(fields.raw("tool_choice")),
        schema=_schema(fields.table("response_format")),
        effort=fields.text("reasoning_effort", "medium"),
        refuses=refuses,
    )


def _turn(row: Any, index: int) -> ChatTurn:
    param = f"messages[{index}]"
    role = row.get("role") if isinstance(row, dict) else None
    if not isinstance(role, str) or role not in ROLES:
        raise invalid(f"Invalid value: '{role}'. Supported values are: {sorted(ROLES)}.", param)
    text, pictures = content_text(row.get("content"), f"{param}.content")
    if row.get("tool_calls"):
        text += json.dumps(row["tool_calls"])
    return ChatTurn({"function": "tool"}.get(role, role), text, pictures)


def _tool(row: Any, index: int) -> ChatTool:
    function = row.get("function") if isinstance(row, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        param = f"tools[{index}].function"
        raise invalid(f"Missing required parameter: '{param}'.", param)
    description = str(function.get("description") or "")
    return ChatTool(function["name"], description, _schema_of(function.get("parameters")))


def _schema_of(parameters: Any) -> JsonObject:
    return checked_schema(parameters, "tools") if isinstance(parameters, dict) else {}


def _tool_choice(choice: Any) -> str:
    function = choice.get("function") if isinstance(choice, dict) else None
    return str(function.get("name") if isinstance(function, dict) else choice or "auto")


def _schema(response_format: JsonObject) -> JsonObject | None:
    kind = response_format.get("type", "text")
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object", "properties": {"answer": {"type": "string"}}}
    wrapped = response_format.get("json_schema")
    schema = wrapped.get("schema") if isinstance(wrapped, dict) else None
    if kind != "json_schema" or not isinstance(schema, dict):
        raise invalid(
            "Missing required parameter: 'response_format.json_schema.schema'.", "response_format"
        )
    return checked_schema(schema, "response_format")


def usage(
    conversation: ChatConversation, answers: list[ChatAnswer], told: AnswerFrame
) -> JsonObject:
    prompt = conversation.prompt_tokens()
    completion = sum(answer.tokens for answer in answers)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": told.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": sum(answer.reasoning_tokens for answer in answers),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def respond(body: JsonObject, conversation: ChatConversation, told: AnswerFrame) -> Reply:
    """Return the answer of a request, whole or as a stream, as its body asks."""
    fields = BodyFields(body)
    count = fields.integer("n", low=1, high=8, default=1) or 1
    answers = [chat.answer(conversation, number=number) for number in range(count)]
    total = usage(conversation, answers, told) if told.has_usage else None
    if not fields.flag("stream"):
        choices = [_choice(index, answer, told) for index, answer in enumerate(answers)]
        whole = {**_frame(told, "chat.completion"), "choices": choices}
        return {**whole, "usage": total} if total else whole
    wants_usage = bool(fields.table("stream_options").get("include_usage")) and total is not None
    return WireStream(tuple(_chunks(answers, told, total if wants_usage else None)), DONE)


def _frame(told: AnswerFrame, kind: str) -> JsonObject:
    return {
        "id": told.id,
        "object": kind,
        "created": told.created,
        "model": told.model,
        "service_tier": "default",
        "system_fingerprint": told.fingerprint,
    }


def _call_id(told: AnswerFrame, index: int) -> str:
    return f"call_{told.id[-12:]}{index}"


def _choice(index: int, answer: ChatAnswer, told: AnswerFrame) -> JsonObject:
    is_refusal = answer.finish == chat.REFUSED
    message: JsonObject = {
        "role": "assistant",
        "content": None if answer.tool or is_refusal else answer.text,
        "refusal": answer.text if is_refusal else None,
        "annotations": [],
    }
    if answer.tool:
        function = {"name": answer.tool, "arguments": answer.text}
        message["tool_calls"] = [
            {"id": _call_id(told, index), "type": "function", "function": function}
        ]
    finish = FINISH[answer.finish]
    return {"index": index, "message": message, "logprobs": None, "finish_reason": finish}


def _chunks(
    answers: list[ChatAnswer], told: AnswerFrame, total: JsonObject | None
) -> list[WireEvent]:
    frame = _frame(told, "chat.completion.chunk")

    def chunk(index: int, delta: JsonObject, finish: str | None = None) -> JsonObject:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        body = {**frame, "choices": [choice]}
        return {**body, "usage": None} if total else body

    events = []
    for index, answer in enumerate(answers):
        events.append(WireEvent(chunk(index, _first_delta(index, answer, told))))
        events += [
            WireEvent(chunk(index, _delta(answer, piece)), is_piece=True) for piece in answer.pieces
        ]
        events.append(WireEvent(chunk(index, {}, FINISH[answer.finish])))
    if total:
        choices = [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": None}]
        last = {**frame, "choices": choices if told.usage_beside_choices else [], "usage": total}
        events.append(WireEvent(last))
    return events


def _first_delta(index: int, answer: ChatAnswer, told: AnswerFrame) -> JsonObject:
    if not answer.tool:
        return {"role": "assistant", "content": "", "refusal": None}
    function = {"name": answer.tool, "arguments": ""}
    call = {"index": 0, "id": _call_id(told, index), "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def _delta(answer: ChatAnswer, piece: str) -> JsonObject:
    if answer.tool:
        return {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
    return {"refusal" if answer.finish == chat.REFUSED else "content": piece}
