"""What went wrong with a model, what is done next, and what the caller is told (pure)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from model_orchestration import exceptions
from model_orchestration.adapters.base import Adapter
from model_orchestration.exceptions import ModelError
from model_orchestration.models.route import ErrorClass
from registry.exceptions import (
    CallError,
    CircuitOpenError,
    CredentialError,
    RateLimitedError,
    ServiceTimeoutError,
)

ATTEMPTS_PER_TARGET = 2
# One that wants to be asked again so soon is waited for.
SHORT_WAIT_SECONDS = 2.0
PAUSE_SECONDS = 0.5
LONGEST_MESSAGE = 500
_AGAIN = (ErrorClass.UNAVAILABLE, ErrorClass.RATE)


@dataclass(frozen=True, slots=True)
class Failure:
    """A model did not answer; `is_refused_here` says that the hub itself did not call it."""

    error_class: ErrorClass
    message: str
    status: int | None = None
    retry_after: float | None = None
    is_refused_here: bool = False


def failure_of(error: CallError, adapter: Adapter) -> Failure:
    """Return what an error of a call means."""
    status, retry_after = error.upstream_status, error.retry_after
    if status is not None and not 200 <= status < 300:
        document = error.details.get("answer")
        error_class = adapter.classify(status, document)
        return Failure(error_class, _sentence(document) or error.message, status, retry_after)
    if isinstance(error, ServiceTimeoutError):
        return Failure(ErrorClass.TIMEOUT, error.message)
    if isinstance(error, RateLimitedError):
        return Failure(
            ErrorClass.RATE, error.message, retry_after=retry_after, is_refused_here=True
        )
    if isinstance(error, CredentialError):
        return Failure(ErrorClass.CREDENTIAL, error.message, is_refused_here=True)
    refused = isinstance(error, CircuitOpenError) or not error.about_target
    return Failure(
        ErrorClass.UNAVAILABLE, error.message, status, retry_after, is_refused_here=refused
    )


def wait_before_again(failure: Failure, *, attempts: int) -> float | None:
    """Return after how many seconds the same model is asked again; None where it is not."""
    if attempts >= ATTEMPTS_PER_TARGET or failure.error_class not in _AGAIN:
        return None
    if failure.is_refused_here:
        return None
    wait = failure.retry_after
    if failure.error_class == ErrorClass.RATE and wait is None:
        return None
    if wait is not None and wait > SHORT_WAIT_SECONDS:
        return None
    return PAUSE_SECONDS if wait is None else wait


def goes_on(failure: Failure, fallback_on: Collection[str]) -> bool:
    """Return whether the next model of a route is asked."""
    return failure.error_class in fallback_on


def error_of(failure: Failure, *, model: str, provider: str) -> ModelError:
    """Return what the caller is told of a failure."""
    kind, sentence = _ERRORS[failure.error_class]
    told = failure.message if failure.error_class in _TOLD else ""
    message = f"{sentence.format(model=model, provider=provider)}{f' {told}' if told else ''}"
    return kind(message, retry_after=failure.retry_after, model=model, provider=provider)


# What the provider said is repeated where it is about the request; not what concerns our account.
_TOLD = (ErrorClass.INVALID, ErrorClass.CONTEXT, ErrorClass.CONTENT, ErrorClass.UNAVAILABLE,
         ErrorClass.TIMEOUT)  # fmt: skip
_ERRORS: dict[str, tuple[type[ModelError], str]] = {
    ErrorClass.INVALID: (
        exceptions.InvalidModelRequest, "The provider of '{model}' refused the request:"),
    ErrorClass.CONTEXT: (exceptions.ContextTooLong, "The input is too long for '{model}':"),
    ErrorClass.CONTENT: (
        exceptions.ContentFiltered, "The content filter of '{model}' refused the request:"),
    ErrorClass.CREDENTIAL: (
        exceptions.ProviderCredentialRefused,
        "{provider} does not take the credential of its connection. An operator has to renew it."),
    ErrorClass.NOT_FOUND: (
        exceptions.ModelUnavailable,
        "{provider} does not have what '{model}' is registered for. An operator has to change it."),
    ErrorClass.QUOTA: (
        exceptions.ProviderQuotaExceeded, "The account at {provider} is used up."),
    ErrorClass.RATE: (
        exceptions.ProviderRateLimited, "'{model}' takes no more requests for now."),
    ErrorClass.TIMEOUT: (exceptions.ModelTimeout, "'{model}' did not answer in time."),
    ErrorClass.UNAVAILABLE: (exceptions.ProviderUnavailable, "'{model}' does not answer."),
}  # fmt: skip


def _sentence(document: Any) -> str:
    """Return the message in an error of a provider."""
    error = document.get("error") if isinstance(document, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return message[:LONGEST_MESSAGE] if isinstance(message, str) else ""
