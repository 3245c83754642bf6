"""Answers a conversation, whatever protocol it came by: text, JSON, or the call of a tool."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from reference_services.model_server.catalog import LocalModel
from reference_services.model_server.errors import CONTEXT, LocalProviderError
from reference_services.model_server.ngram import TokenSampling, sample_model
from reference_services.model_server.schema_filler import fill
from reference_services.model_server.tokenizer import count_tokens, tokenize
from reference_services.words import content_words, words

JsonObject = dict[str, Any]
TOKENS_PER_TURN = 4
TOKENS_PER_PICTURE = 85
DRAFT_TOKENS = {"none": 0, "minimal": 4, "low": 16, "medium": 32, "high": 64}
STOPPED, LENGTH, STOP_SEQUENCE, TOOL, REFUSED = "stop", "length", "sequence", "tool", "refused"
REFUSAL = "I can't help with that."


@dataclass(frozen=True)
class ChatTurn:
    """One message: who said it, its text, and how many pictures it shows."""

    role: str
    text: str
    pictures: int = 0


@dataclass(frozen=True)
class ChatTool:
    """A function that the model may ask its caller to call."""

    name: str
    description: str
    schema: JsonObject


@dataclass(frozen=True)
class ChatConversation:
    """What a chat is asked for. `tool_choice` is auto, none, required or a tool's name."""

    model: LocalModel
    turns: tuple[ChatTurn, ...]
    max_tokens: int | None = None
    sampling: TokenSampling = field(default_factory=TokenSampling)
    stop: tuple[str, ...] = ()
    tools: tuple[ChatTool, ...] = ()
    tool_choice: str = "auto"
    schema: JsonObject | None = None
    effort: str = "medium"
    refuses: bool = False

    @property
    def prompt(self) -> str:
        """Return what the answer is about: the last thing that a person or a tool said."""
        return next((turn.text for turn in reversed(self.turns) if turn.role != "assistant"), "")

    def prompt_tokens(self) -> int:
        tokens = sum(count_tokens(turn.text) + TOKENS_PER_TURN for turn in self.turns)
        tokens += TOKENS_PER_PICTURE * sum(turn.pictures for turn in self.turns)
        tools = (f"{t.name} {t.description} {json.dumps(t.schema)}" for t in self.tools)
        return tokens + sum(count_tokens(tool) for tool in tools)


@dataclass(frozen=True)
class ChatAnswer:
    """The pieces of an answer, one per token, and why it ended."""

    pieces: tuple[str, ...]
    finish: str
    tool: str = ""
    stop_sequence: str | None = None
    reasoning_tokens: int = 0

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def tokens(self) -> int:
        return len(self.pieces) + self.reasoning_tokens


def answer(conversation: ChatConversation, *, number: int = 0) -> ChatAnswer:
    """Return the answer to a conversation; `number` counts the choices that were asked for.

    Raises: LocalProviderError for a conversation that does not fit the model's context.
    """
    limit = _limit(conversation)
    if number:
        sampling = conversation.sampling
        conversation = replace(
            conversation, sampling=replace(sampling, seed=(sampling.seed or 0) + number)
        )
    if conversation.refuses:
        return ChatAnswer(tuple(tokenize(REFUSAL))[:limit], REFUSED)
    tool = _chosen_tool(conversation)
    if tool is not None:
        arguments = json.dumps(fill(tool.schema, lambda name: _argument(name, conversation.prompt)))
        return _ended(tokenize(arguments), limit, finish=TOOL, tool=tool.name)
    draft = min(_draft_tokens(conversation), limit)
    pieces = _json(conversation) if conversation.schema is not None else _text(conversation)
    ended = _ended(pieces, limit - draft, stop=conversation.stop)
    return replace(ended, reasoning_tokens=draft)


def _limit(conversation: ChatConversation) -> int:
    """Return how many tokens the answer may have."""
    model = conversation.model
    prompt, asked = conversation.prompt_tokens(), conversation.max_tokens
    wanted = min(asked or 1, model.longest_answer)
    if prompt + wanted > model.context:
        raise LocalProviderError(
            CONTEXT,
            f"This model's maximum context length is {model.context} tokens. However, you"
            f" requested {prompt + wanted} tokens ({prompt} in the messages, {wanted} in the"
            " completion). Please reduce the length of the messages or completion.",
            "messages",
            anthropic_message=f"prompt is too long: {prompt + wanted} tokens >"
            f" {model.context} maximum",
        )
    return min(asked or model.longest_answer, model.longest_answer, model.context - prompt)


def _draft_tokens(conversation: ChatConversation) -> int:
    return DRAFT_TOKENS.get(conversation.effort, 32) if conversation.model.thinks else 0


def _text(conversation: ChatConversation) -> Iterator[str]:
    last = conversation.turns[-1] if conversation.turns else ChatTurn("user", "")
    if last.role == "tool":
        yield from tokenize(f"The answer is: {last.text.strip()}. ")
    yield from sample_model().generate(conversation.prompt, conversation.sampling)


def _json(conversation: ChatConversation) -> list[str]:
    """Return the tokens of a JSON document of the schema, each text in it a sentence."""
    numbers = itertools.count()

    def sentence(name: str) -> str:
        prompt = f"{name} {next(numbers)} {conversation.prompt}"
        tokens = sample_model().generate(prompt, conversation.sampling)
        return "".join(_until_sentence_end(tokens))

    return tokenize(json.dumps(fill(conversation.schema or {}, sentence)))


def _until_sentence_end(tokens: Iterator[str]) -> Iterator[str]:
    for token in tokens:
        yield token
        if token in {".", "!", "?"}:
            return


def _ended(
    tokens: Iterable[str], limit: int, *, stop: tuple[str, ...] = (), finish: str = STOPPED,
    tool: str = "",
) -> ChatAnswer:  # fmt: skip
    """Return the answer up to the limit, or before the first of the texts to stop at."""
    pieces: list[str] = []
    text = ""
    for token in tokens:
        if len(pieces) >= limit:
            return ChatAnswer(tuple(pieces), LENGTH, tool)
        pieces.append(token)
        text += token
        found = [(text.find(mark), mark) for mark in stop if mark and mark in text]
        if found:
            position, mark = min(found)
            return ChatAnswer(tuple(tokenize(text[:position])), STOP_SEQUENCE, tool, mark)
    return ChatAnswer(tuple(pieces), finish, tool)


def _chosen_tool(conversation: ChatConversation) -> ChatTool | None:
    """Return the tool that is demanded, or that the last words of a person are about."""
    tools, choice = conversation.tools, conversation.tool_choice
    if not tools or choice == "none":
        return None
    ranked = sorted(tools, key=lambda tool: -_relevance(tool, conversation.prompt))
    if choice == "required":
        return ranked[0]
    if choice != "auto":
        return next((tool for tool in tools if tool.name == choice), None)
    is_question = bool(conversation.turns) and conversation.turns[-1].role == "user"
    return ranked[0] if is_question and _relevance(ranked[0], conversation.prompt) else None


def _relevance(tool: ChatTool, prompt: str) -> int:
    subjects = content_words(f"{tool.name.replace('_', ' ')} {tool.description}")
    return len(set(subjects) & set(content_words(prompt)))


def _argument(name: str, prompt: str) -> str:
    """Return the text of a tool's argument: what is quoted, else the last name, else all."""
    quoted = re.search(r"[\"'“]([^\"'”]+)[\"'”]", prompt)
    if quoted:
        return quoted.group(1)
    names = re.findall(r"(?<=[^.!?] )[A-Z][\w-]+(?: [A-Z][\w-]+)*", prompt)
    return names[-1] if names else " ".join(words(prompt)) or name
