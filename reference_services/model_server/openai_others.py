"""OpenAI's other endpoints: completions, embeddings, images, audio, models."""

from __future__ import annotations

import base64
import re
import struct
from typing import Any

from reference_services.model_server import chat, morse
from reference_services.model_server.catalog import CREATED, MODELS, LocalModel
from reference_services.model_server.chat import ChatAnswer, ChatConversation, ChatTurn
from reference_services.model_server.embeddings import embed
from reference_services.model_server.errors import CONTEXT, LocalProviderError, invalid
from reference_services.model_server.fields import BodyFields
from reference_services.model_server.openai_chat import (
    DONE,
    FINISH,
    AnswerFrame,
    sampling_of,
    usage,
)
from reference_services.model_server.pictures import picture
from reference_services.model_server.replies import RawReply, Reply, WireEvent, WireStream
from reference_services.model_server.tokenizer import count_tokens, tokenize

JsonObject = dict[str, Any]
MOST_INPUTS = 2048
OWNER = "reference-services"


def model_body(model: LocalModel, name: str = "") -> JsonObject:
    return {"id": name or model.name, "object": "model", "created": CREATED, "owned_by": OWNER}


def models_body() -> JsonObject:
    return {"object": "list", "data": [model_body(model) for model in MODELS.values()]}


def _prompts(fields: BodyFields, name: str) -> list[str]:
    """Return the texts of a field that is a text, some texts, token numbers, or lists of them."""
    value = fields.required(name)
    if isinstance(value, str):
        return [value]
    rows = value if isinstance(value, list) else []
    if rows and all(isinstance(row, int) for row in rows):
        rows = [rows]
    texts = [" ".join(map(str, row)) if isinstance(row, list) else row for row in rows]
    if not texts or len(texts) > MOST_INPUTS or not all(isinstance(text, str) for text in texts):
        raise invalid(f"Invalid '{name}': expected a string or an array of strings.", name)
    return texts


def read_completion(body: JsonObject, model: LocalModel) -> list[ChatConversation]:
    """Return a conversation for each prompt of a completion. Raises: LocalProviderError."""
    fields = BodyFields(body)
    return [
        ChatConversation(
            model=model,
            turns=(ChatTurn("user", prompt),),
            max_tokens=fields.integer("max_tokens", low=1, high=10**9, default=16),
            sampling=sampling_of(fields),
            stop=fields.texts("stop", most=4),
        )
        for prompt in _prompts(fields, "prompt")
    ]


def completion(body: JsonObject, conversations: list[ChatConversation], told: AnswerFrame) -> Reply:
    fields = BodyFields(body)
    count = fields.integer("n", low=1, high=8, default=1) or 1
    answers = [chat.answer(talk, number=n) for talk in conversations for n in range(count)]
    echoed = [talk.prompt if fields.flag("echo") else "" for talk in conversations]
    frame = {"id": told.id, "object": "text_completion", "created": told.created}
    frame |= {"model": told.model, "system_fingerprint": told.fingerprint}
    total = _completion_usage(conversations, answers, told) if told.has_usage else None
    if fields.flag("stream"):
        wants_usage = fields.table("stream_options").get("include_usage")
        return WireStream(tuple(_text_chunks(frame, answers, total if wants_usage else None)), DONE)
    choices = [
        _text_choice(index, echoed[index // count] + answer.text, FINISH[answer.finish])
        for index, answer in enumerate(answers)
    ]
    return {**frame, "choices": choices, **({"usage": total} if total else {})}


def _completion_usage(
    conversations: list[ChatConversation], answers: list[ChatAnswer], told: AnswerFrame
) -> JsonObject:
    each = [usage(talk, [], told) for talk in conversations]
    prompt = sum(one["prompt_tokens"] for one in each)
    written = sum(answer.tokens for answer in answers)
    total = prompt + written
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": total}


def _text_choice(index: int, text: str, finish: str | None) -> JsonObject:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}


def _text_chunks(
    frame: JsonObject, answers: list[ChatAnswer], total: JsonObject | None
) -> list[WireEvent]:
    def chunk(choices: list[JsonObject]) -> JsonObject:
        return {**frame, "choices": choices, **({"usage": None} if total else {})}

    events = []
    for index, answer in enumerate(answers):
        events += [
            WireEvent(chunk([_text_choice(index, piece, None)]), is_piece=True)
            for piece in answer.pieces
        ]
        events.append(WireEvent(chunk([_text_choice(index, "", FINISH[answer.finish])])))
    if total:
        events.append(WireEvent({**frame, "choices": [], "usage": total}))
    return events


def embeddings(body: JsonObject, model: LocalModel, told: AnswerFrame) -> JsonObject:
    fields = BodyFields(body)
    texts = _prompts(fields, "input")
    dimensions = fields.integer("dimensions", low=1, high=4096, default=model.dimensions)
    tokens = [count_tokens(text) for text in texts]
    if max(tokens) > model.context:
        raise LocalProviderError(
            CONTEXT,
            f"This model's maximum context length is {model.context} tokens, however you requested"
            f" {max(tokens)} tokens. Please reduce the length of the input.",
            "input",
        )
    is_packed = fields.text("encoding_format", "float") == "base64"
    vectors = [embed(text, dimensions or model.dimensions) for text in texts]
    rows = [
        {"object": "embedding", "index": index, "embedding": _packed(v) if is_packed else v}
        for index, v in enumerate(vectors)
    ]
    answer: JsonObject = {"object": "list", "data": rows, "model": told.model}
    if told.has_usage:
        answer["usage"] = {"prompt_tokens": sum(tokens), "total_tokens": sum(tokens)}
    return answer


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def images(body: JsonObject, told: AnswerFrame, *, url_of: Any) -> JsonObject:
    """Return pictures as base64, or as addresses that `url_of` makes of their bytes."""
    fields = BodyFields(body)
    fields.required("prompt")
    prompt = fields.text("prompt")
    size = fields.text("size", "256x256")
    match = re.fullmatch(r"(\d{2,4})x(\d{2,4})", "256x256" if size == "auto" else size)
    if match is None or not all(16 <= int(part) <= 2048 for part in match.groups()):
        raise invalid(f"Invalid value: '{size}'. Sizes are from 16x16 to 2048x2048.", "size")
    width, height = (int(part) for part in match.groups())
    count = fields.integer("n", low=1, high=10, default=1) or 1
    as_url = fields.text("response_format", "b64_json") == "url"
    data = []
    for number in range(count):
        drawn = picture(f"{prompt} {number}" if number else prompt, width=width, height=height)
        data.append({"url": url_of(drawn)} if as_url else {"b64_json": _base64(drawn)})
    return {"created": told.created, "data": data, **_image_usage(prompt, count, told)}


def _image_usage(prompt: str, count: int, told: AnswerFrame) -> JsonObject:
    if not told.has_usage:
        return {}
    read, drawn = len(tokenize(prompt)), 64 * count
    details = {"text_tokens": read, "image_tokens": 0}
    total = {"input_tokens": read, "output_tokens": drawn, "total_tokens": read + drawn}
    return {"usage": {**total, "input_tokens_details": details}}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def audio(form: dict[str, Any], told: AnswerFrame, *, translates: bool) -> Reply:
    """Return the text of a recording, in the format asked for. Raises: LocalProviderError."""
    data = form.get("file")
    if not isinstance(data, bytes):
        raise invalid("Missing required parameter: 'file'.", "file")
    try:
        recording = morse.transcribe(data)
    except morse.NotReadableError as error:
        raise invalid(f"The audio file could not be decoded: {error}", "file") from error
    text = morse.translate(recording.text) if translates else recording.text
    kind = str(form.get("response_format") or "json")
    if kind == "text":
        return RawReply(f"{text}\n".encode(), "text/plain")
    if kind == "verbose_json":
        task = "translate" if translates else "transcribe"
        body = {"task": task, "language": "english", "duration": recording.seconds, "text": text}
        return {**body, "segments": [], **_audio_usage(recording, told)}
    if kind != "json":
        raise invalid(f"Invalid value: '{kind}'. Use json or text.", "response_format")
    return {"text": text, **_audio_usage(recording, told)}


def _audio_usage(recording: morse.MorseRecording, told: AnswerFrame) -> JsonObject:
    if not told.has_usage:
        return {}
    return {"usage": {"type": "duration", "seconds": max(1, round(recording.seconds))}}
