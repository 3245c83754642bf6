"""What goes wrong at a provider. Each protocol says it in its own words."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ErrorWording:
    """The HTTP status, and the type and code, of one kind of error in each protocol."""

    status: int
    openai_type: str
    openai_code: str | None
    anthropic_status: int
    anthropic_type: str


INVALID = "invalid"
CONTEXT = "context_too_long"
TROUBLES = {
    INVALID: ErrorWording(400, "invalid_request_error", None, 400, "invalid_request_error"),
    CONTEXT: ErrorWording(
        400, "invalid_request_error", "context_length_exceeded", 400, "invalid_request_error"
    ),
    "content_filtered": ErrorWording(
        400, "invalid_request_error", "content_policy_violation", 400, "invalid_request_error"
    ),
    "key_refused": ErrorWording(
        401, "invalid_request_error", "invalid_api_key", 401, "authentication_error"
    ),
    "forbidden": ErrorWording(403, "invalid_request_error", None, 403, "permission_error"),
    "unknown_model": ErrorWording(
        404, "invalid_request_error", "model_not_found", 404, "not_found_error"
    ),
    "unknown_path": ErrorWording(
        404, "invalid_request_error", "unknown_url", 404, "not_found_error"
    ),
    "too_large": ErrorWording(413, "invalid_request_error", None, 413, "request_too_large"),
    "rate_limited": ErrorWording(429, "requests", "rate_limit_exceeded", 429, "rate_limit_error"),
    "quota_spent": ErrorWording(
        429, "insufficient_quota", "insufficient_quota", 400, "invalid_request_error"
    ),
    "server_error": ErrorWording(500, "server_error", None, 500, "api_error"),
    "overloaded": ErrorWording(503, "server_error", "overloaded", 529, "overloaded_error"),
}


@dataclass
class LocalProviderError(Exception):
    """An error answer: one of `TROUBLES`, a sentence, and what else the answer carries.

    Anthropic has no codes, so its clients tell some errors by their words.
    """

    trouble: str
    message: str
    param: str | None = None
    code: str | None = None
    anthropic_message: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(self.message)


def invalid(message: str, param: str | None = None, code: str | None = None) -> LocalProviderError:
    return LocalProviderError(INVALID, message, param, code)


def openai_error(error: LocalProviderError) -> tuple[int, dict[str, object]]:
    """Return status and body as OpenAI answers."""
    kind = TROUBLES[error.trouble]
    return kind.status, {
        "error": {
            "message": error.message,
            "type": kind.openai_type,
            "param": error.param,
            "code": error.code or kind.openai_code,
        }
    }


def ollama_error(error: LocalProviderError) -> tuple[int, dict[str, object]]:
    """Return status and body as the OpenAI-compatible side of Ollama answers: it knows no codes."""
    status = TROUBLES[error.trouble].status
    kinds = {400: "invalid_request_error", 404: "not_found_error"}
    kind = kinds.get(status, "api_error")
    return status, {"error": {"message": error.message, "type": kind, "param": None, "code": None}}


def anthropic_error(error: LocalProviderError, *, request_id: str) -> tuple[int, dict[str, object]]:
    """Return status and body as Anthropic answers."""
    kind, message = TROUBLES[error.trouble], error.anthropic_message or error.message
    return kind.anthropic_status, {
        "type": "error",
        "error": {"type": kind.anthropic_type, "message": message},
        "request_id": request_id,
    }
