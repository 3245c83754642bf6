"""What the hub offers as a service of the type MODEL_ORCHESTRATION, and how each is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from core.json import strict
from core.json.schema import Schema, first_of
from model_orchestration.adapters.base import ModelCall
from model_orchestration.choosing import ModelChoices
from model_orchestration.exceptions import AnswerUnfit, InvalidModelRequest
from model_orchestration.models.model import RequestType
from model_orchestration.native_dialect import (
    as_chat,
    as_completion,
    as_embedding,
    as_image,
    text_of,
)
from model_orchestration.prompt_library import with_prompt
from model_orchestration.reading import (
    read_chat,
    read_completion,
    read_embedding,
    read_image,
    read_transcription,
    read_translation,
)
from model_orchestration.requirements import AUTO, FIELD

JSON = dict[str, Any]
Body = Mapping[str, Any]
ReadBody = Callable[[Body], tuple[str, ModelCall]]
SERVICE_NAME = "hub-models"
# Models think for longer than other services.
TIMEOUT_SECONDS = 120.0

_READERS: Mapping[RequestType, ReadBody] = {
    RequestType.CHAT: read_chat,
    RequestType.COMPLETION: read_completion,
    RequestType.EMBEDDING: read_embedding,
    RequestType.IMAGE_GENERATION: read_image,
    RequestType.AUDIO_TRANSCRIPTION: read_transcription,
    RequestType.AUDIO_TRANSLATION: read_translation,
}


def read_native(
    request_type: RequestType, given: Body, body: Body, choices: ModelChoices
) -> tuple[str, ModelCall]:
    """Return which model is asked, the one that is `given` or the usual one, and the call.

    Raises:
        InvalidModelRequest: a field cannot be sent, or nobody says which model.
    """
    asked = str(given.get("model_id") or given.get("model") or "")
    provider = str(given.get("provider") or "")
    required = given.get(FIELD)
    if not asked and required is not None:
        asked = AUTO
        if provider and isinstance(required, dict):
            required = {"provider": provider, **required}
    model = asked or choices.usual_model(request_type, provider)
    if request_type == RequestType.CHAT:
        body = with_prompt(body)
    return _READERS[request_type]({**body, "model": model, FIELD: required})


@dataclass(frozen=True, slots=True)
class ServiceOffer:
    """An action of the service: `body_of` puts its input into OpenAI's form.

    With `asks_for`, a model is asked for JSON of that schema, and that is the output; otherwise the
    output is the whole answer.
    """

    name: str
    path: str
    description: str
    request_type: RequestType
    body_of: Callable[[Body], JSON]
    input: JSON
    output: JSON
    asks_for: JSON | None = None

    def read(self, given: Body, choices: ModelChoices) -> tuple[str, ModelCall]:
        """Return which model is asked, and the call. Raises: InvalidModelRequest."""
        return read_native(self.request_type, given, self.body_of(given), choices)

    def result(self, answer: Body) -> JSON:
        """Return what a model answered as it was asked to. Raises: AnswerUnfit."""
        text = text_of(answer)
        try:
            document = strict.parse(_json_in(text))
        except strict.JSONRefused as error:
            raise AnswerUnfit(f"The model did not answer in JSON: {error}") from None
        if problems := Schema(self.asks_for or {}).problems(document):
            raise AnswerUnfit(
                f"What the model answered is not as it was asked for: {first_of(problems)}"
            )
        return dict(document)

    def as_registered(self) -> JSON:
        """Return the action as a service registers it."""
        return {
            "name": self.name,
            "description": self.description,
            "method": "POST",
            "path": self.path,
            "input_schema": self.input,
            "output_schema": self.output,
            "timeout_seconds": TIMEOUT_SECONDS,
            # To ask again costs again, and changes nothing else.
            "idempotent": True,
        }


def _json_in(text: str) -> bytes:
    """Return the text without the fence that models like to put around JSON."""
    text = text.strip()
    if text.startswith("```"):
        text = text.partition("\n")[2].rpartition("```")[0]
    return text.encode()


_TEXT: JSON = {"type": "string"}
_TEXTS: JSON = {"type": "array", "items": _TEXT}
_OBJECT: JSON = {"type": "object"}
_WHO: JSON = {
    "model": {**_TEXT, "description": "A model, an alias or a route; the usual one without."},
    "model_id": _TEXT,
    "provider": _TEXT,
    FIELD: {"type": "object", "description": "What a model has to be, where none is named."},
    "project_id": _TEXT,
    "user_id": _TEXT,
    "task_id": _TEXT,
    "task_type": _TEXT,
}
_OPTIONS: JSON = {
    "max_tokens": {"type": "integer", "minimum": 1},
    "temperature": {"type": "number"},
    "top_p": {"type": "number"},
    "stop": {},
}
_PROMPT: JSON = {
    "type": "object",
    "description": "A prompt of the library, whose messages go before those that are given.",
    "properties": {
        "name": _TEXT,
        "version": {"type": "integer", "description": "The latest, unless given."},
        "variables": _OBJECT,
    },
    "required": ["name"],
    "additionalProperties": False,
}
_ANSWER = ("response", "request_id", "model_id", "provider", "cost")


def _record(properties: JSON, required: str) -> JSON:
    return {"type": "object", "properties": properties, "required": required.split()}


def _output(response: JSON) -> JSON:
    properties: JSON = {
        "response": response, "request_id": _TEXT, "model_id": _TEXT, "provider": _TEXT,
        "cost": {"type": "number"}, "latency_ms": {"type": "number"},
    }  # fmt: skip
    return _record(properties, " ".join(_ANSWER))


def _task_body(instruction: str, name: str, schema: JSON) -> Callable[[Body], JSON]:
    """Return what asks a model to do something with the input of an action, and tell it in JSON."""

    def body_of(given: Body) -> JSON:
        told = {k: v for k, v in given.items() if k not in _WHO and v is not None}
        return {
            "messages": [
                {"role": "system", "content": instruction},
                {"role": "user", "content": json.dumps(told, ensure_ascii=False)},
            ],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": name, "schema": schema, "strict": True},
            },
        }

    return body_of


def _task(
    name: str, path: str, description: str, instruction: str, *, given: JSON, told: JSON
) -> ServiceOffer:
    required = next(iter(given))
    schema = {**_record(told, " ".join(told)), "additionalProperties": False}
    return ServiceOffer(
        name, path, description, RequestType.CHAT, _task_body(instruction, name, schema),
        _record({**given, **_WHO}, required), _record(told, " ".join(told)), schema,
    )  # fmt: skip


_TASK: JSON = {"anyOf": [{"type": "string", "minLength": 1}, {"type": "object"}]}
_LISTED: JSON = {"type": ["array", "null"], "items": {"anyOf": [_TEXT, _OBJECT]}, "maxItems": 1000}

OFFERS = (
    ServiceOffer(
        "chat", "/models/chat", "Have a model go on with a conversation.", RequestType.CHAT,
        as_chat,
        _record(
            {"messages": {"type": "array", "minItems": 1, "items": _OBJECT}, "prompt": _PROMPT,
             "response_format": _OBJECT, "tools": {"type": "array"}, "tool_choice": {},
             **_OPTIONS, **_WHO},
            "",
        ) | {"anyOf": [{"required": ["messages"]}, {"required": ["prompt"]}]},
        _output(_record({"choices": {"type": "array", "minItems": 1}}, "choices")),
    ),
    ServiceOffer(
        "completion", "/models/completion", "Have a model go on with a text.",
        RequestType.COMPLETION, as_completion,
        _record({"prompt": _TEXT, **_OPTIONS, **_WHO}, "prompt"),
        _output(_record({"choices": {"type": "array", "minItems": 1}}, "choices")),
    ),
    ServiceOffer(
        "embedding", "/models/embedding", "Have a model turn texts into vectors.",
        RequestType.EMBEDDING, as_embedding,
        _record({"input": {"type": ["string", "array"]}, **_WHO}, "input"),
        _output(_record({"data": {"type": "array"}}, "data")),
    ),
    ServiceOffer(
        "image", "/models/image", "Have a model draw images.", RequestType.IMAGE_GENERATION,
        as_image,
        _record({"prompt": _TEXT, "size": _TEXT, "quality": _TEXT, "style": _TEXT,
                 "n": {"type": "integer", "minimum": 1}, "response_format": _TEXT, **_WHO},
                "prompt"),
        _output(_record({"data": {"type": "array"}}, "data")),
    ),
    _task(
        "generate_execution_plan", "/models/plans/execution",
        "Have a model say by which steps, and with which tools, a task is done.",
        "You plan tasks of a team. Say by which steps the task is done, in their order, and which"
        " tools that takes. Answer in JSON.",
        given={"task": _TASK},
        told={"steps": _TEXTS, "required_tools": _TEXTS},
    ),
    _task(
        "execute_task", "/models/tasks/execute",
        "Have a model do a task by its steps, and tell the result.",
        "You do tasks of a team. Do the task by the steps that are given, if there are any, as if"
        " you had the tools. Tell the whole result, and a summary of one sentence. Answer in JSON.",
        given={"task": _TASK, "steps": _LISTED, "tools": _LISTED},
        told={"result": _TEXT, "summary": _TEXT},
    ),
    _task(
        "review_plan", "/models/plans/review", "Have a model say what may go wrong with a plan.",
        "You review plans of a team. Say in a few sentences how good the plan is, and list what may"
        " go wrong. Answer in JSON.",
        given={"tasks": {"type": "array", "items": _OBJECT, "maxItems": 1000}},
        told={"review": _TEXT, "risks": _TEXTS},
    ),
)  # fmt: skip
BY_NAME = {offer.name: offer for offer in OFFERS}


def offer_of(name: str) -> ServiceOffer:
    """Return the action of that name. Raises: InvalidModelRequest."""
    if name not in BY_NAME:
        raise InvalidModelRequest.at("action", f"Use one of: {', '.join(BY_NAME)}.")
    return BY_NAME[name]
