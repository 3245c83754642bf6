"""What adapters take and give (pure). The form in between is OpenAI's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from model_orchestration.models.model import RequestType
from model_orchestration.models.route import ErrorClass
from model_orchestration.pricing import Usage
from model_orchestration.requirements import Requirements

# A provider tells a token for about so many bytes of text; where none tells, this is what counts.
BYTES_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class AudioFile:
    """A recording as it came."""

    name: str
    media_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ModelCall:
    """What a caller asks of a model, whichever serves it.

    `body` is as OpenAI's API takes it, without `model` and `stream`; `native` as Anthropic's does,
    where it was asked in that form; `file` is the recording of a request for audio;
    `requirements` is what the model has to be.
    """

    request_type: RequestType
    body: Mapping[str, Any]
    stream: bool = False
    native: Mapping[str, Any] | None = None
    file: AudioFile | None = None
    requirements: Requirements | None = None

    def including(self, defaults: Mapping[str, Any]) -> ModelCall:
        """Return the call with these fields where it does not say otherwise."""
        return replace(self, body={**defaults, **self.body}) if defaults else self

    @property
    def wants_usage(self) -> bool:
        """Whether a stream is to end with its usage."""
        return bool((self.body.get("stream_options") or {}).get("include_usage"))


@dataclass(frozen=True, slots=True)
class WireRequest:
    """What is sent to a provider, below the base URL of its connection; a form has a `file`."""

    path: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    file: AudioFile | None = None


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """The answer of a model in OpenAI's form; without a usage, the provider told none.

    `native` is the answer as Anthropic gave it.
    """

    body: dict[str, Any]
    usage: Usage | None
    native: Mapping[str, Any] | None = None


class StreamFailed(Exception):
    """A provider said in the middle of a stream that it failed."""


class StreamReader(Protocol):
    """Reads the events of one stream."""

    # Whether the provider said that this was all.
    is_complete: bool
    # Bytes of text that came, for an estimate where no usage does.
    text_bytes: int

    @property
    def usage(self) -> Usage | None:
        """What the provider told of what was used, so far."""

    def feed(self, name: str, data: str) -> list[dict[str, Any]]:
        """Return the chunks of OpenAI's form that an event of the provider becomes.

        Raises:
            StreamFailed: the provider says that it failed.
            ValueError: the event is not of its API.
        """


class Adapter(Protocol):
    """Speaks to one kind of provider."""

    def request(self, call: ModelCall, *, model: str, most_output: int | None) -> WireRequest:
        """Return what is sent; `most_output` are tokens, where the caller bounds none."""

    def answer(self, call: ModelCall, document: Any) -> ModelAnswer:
        """Return the answer that a document of the provider is. Raises: ValueError."""

    def reader(self, call: ModelCall) -> StreamReader:
        """Return what reads the stream that is answered."""

    def classify(self, status: int, document: Any) -> ErrorClass:
        """Return what an error of the provider means."""


def classify_status(status: int) -> ErrorClass:
    """Return what a status means where nothing more is known."""
    if status in (401, 403):
        return ErrorClass.CREDENTIAL
    by_status = {
        402: ErrorClass.QUOTA, 404: ErrorClass.NOT_FOUND, 408: ErrorClass.TIMEOUT,
        409: ErrorClass.UNAVAILABLE, 413: ErrorClass.CONTEXT, 425: ErrorClass.UNAVAILABLE,
        429: ErrorClass.RATE, 504: ErrorClass.TIMEOUT,
    }  # fmt: skip
    usual = ErrorClass.INVALID if 400 <= status < 500 else ErrorClass.UNAVAILABLE
    return by_status.get(status, usual)


def estimate_tokens(text_bytes: int) -> int:
    """Return about how many tokens so many bytes of text are."""
    return -(-text_bytes // BYTES_PER_TOKEN)
