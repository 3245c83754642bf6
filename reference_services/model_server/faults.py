"""Failures on demand, as providers fail: by a header, the name of the model, or `POST /_fault`.

A fault is written as ``kind`` or ``kind,name=number,...``: the header ``X-Fault: slow,token_ms=50``
and the model ``tiny-1:slow,token_ms=50`` do the same for one request. `POST /_fault` sets one for
all requests, or for those of some models, and for some times; an empty body sets none.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from reference_services.model_server.errors import CONTEXT, TROUBLES, LocalProviderError, invalid
from reference_services.schemas import JsonObject, described, input_check, list_of, record

MESSAGES = {
    "context_too_long": "The prompt and max_tokens do not fit the model's context (as switched).",
    "content_filtered": "The request was rejected by the safety system (as switched).",
    "key_refused": "The API key is not valid (as switched).",
    "forbidden": "The API key may not do this (as switched).",
    "unknown_model": "The model does not exist, or you have no access to it (as switched).",
    "rate_limited": "Rate limit reached on requests per minute. Please try again later.",
    "quota_spent": "You exceeded your current usage limits: check your plan and billing details.",
    "server_error": "The server had an error while processing your request.",
    "overloaded": "The model is overloaded. Please try again later.",
}
BEHAVIOURS = {
    "timeout": "no answer, until the caller leaves",
    "slow": "`latency_ms` before the answer, `token_ms` before each piece of a stream",
    "cut_stream": "the connection breaks after `after` pieces",
    "ended_stream": "the stream ends after `after` pieces, properly but for its end mark",
    "error_in_stream": "an error event after `after` pieces",
    "no_usage": "usage is told nowhere",
    "usage_beside_choices": "usage comes in a chunk that has choices",
    "large_event": "the first event of a stream carries `bytes` more",
    "not_json": "200 with a page of HTML",
    "refused_answer": "the model declines to answer",
}
KINDS = (*MESSAGES, *BEHAVIOURS)
_NUMBERS = {
    "after": {"type": "integer", "minimum": 0, "maximum": 100_000},
    "retry_after": {"type": "number", "minimum": 0, "maximum": 86_400},
    "latency_ms": {"type": "number", "minimum": 0, "maximum": 600_000},
    "token_ms": {"type": "number", "minimum": 0, "maximum": 60_000},
    "bytes": {"type": "integer", "minimum": 0, "maximum": 64_000_000},
}
FAULT_SCHEMA = record(
    {
        **_NUMBERS,
        "kind": {"enum": list(KINDS)},
        "models": described(list_of({"type": "string"}), "Only these; all when empty."),
        "times": described({"type": "integer", "minimum": 1}, "So many requests; all if absent."),
    },
    required="kind",
    closed=True,
)
_check = input_check(FAULT_SCHEMA)


@dataclass(frozen=True)
class ProviderFault:
    """One failure, and its numbers."""

    kind: str = ""
    after: int = 3
    retry_after: float | None = None
    latency_ms: float = 0
    token_ms: float = 0
    bytes: int = 2_000_000
    models: tuple[str, ...] = ()
    times: int | None = None

    def error(self) -> LocalProviderError:
        """Return the error of a kind that is one."""
        headers = {}
        if self.retry_after is not None:
            headers["Retry-After"] = f"{self.retry_after:g}"
        said = "prompt is too long: 2049 tokens > 2048 maximum" if self.kind == CONTEXT else ""
        return LocalProviderError(
            self.kind, MESSAGES[self.kind], headers=headers, anthropic_message=said
        )


NO_FAULT = ProviderFault()


def parse_fault(text: str) -> ProviderFault:
    """Return the fault that a header or a model's name asks for. Raises: LocalProviderError."""
    kind, *numbers = (part.strip() for part in text.split(","))
    body: JsonObject = {"kind": kind}
    for part in numbers:
        name, _, number = part.partition("=")
        try:
            body[name] = float(number) if "." in number else int(number)
        except ValueError:
            raise invalid(f"The fault's {name or 'setting'} must be a number.", "model") from None
    return fault_of(body)


def fault_of(body: JsonObject) -> ProviderFault:
    """Return the fault of a JSON body. Raises: LocalProviderError."""
    errors = _check(body)
    if errors:
        raise invalid(" ".join(sentences[0] for sentences in errors.values()), next(iter(errors)))
    return ProviderFault(**{**body, "models": tuple(body.get("models", ()))})


@dataclass
class ProviderFaultSwitch:
    """The fault that is set for all requests now."""

    fault: ProviderFault = field(default=NO_FAULT)

    def set(self, body: JsonObject) -> None:
        self.fault = fault_of(body) if body else NO_FAULT

    def describe(self) -> dict[str, Any]:
        described = {name: value for name, value in asdict(self.fault).items() if value is not None}
        return {**described, "models": list(self.fault.models), "kinds": [*MESSAGES, *BEHAVIOURS]}

    def take(self, model: str) -> ProviderFault:
        """Return the fault for a request of this model, and count it."""
        fault = self.fault
        if not fault.kind or (fault.models and model not in fault.models):
            return NO_FAULT
        if fault.times is not None:
            self.fault = replace(fault, times=fault.times - 1) if fault.times > 1 else NO_FAULT
        return fault


assert set(MESSAGES) <= set(TROUBLES)
