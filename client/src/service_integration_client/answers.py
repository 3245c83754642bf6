"""What an answer of the hub means: its content, or the one error of the tree that fits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from service_integration_client import exceptions as errors
from service_integration_client.documents import parse_json
from service_integration_client.requests import JsonObject, Request


def content_of(request: Request, *, status: int, headers: Mapping[str, str], body: bytes) -> Any:
    """The JSON of a 2xx answer; None when it is empty. Raises: ServiceIntegrationError."""
    if 200 <= status < 300:
        return _decoded(body, status=status) if body.strip() else None
    problem = _problem(body)
    raise error_for(request, status=status, headers=headers, problem=problem)


def _decoded(body: bytes, *, status: int) -> Any:
    try:
        return parse_json(body)
    except ValueError as error:
        raise errors.UnexpectedAnswerError(
            "The answer is not JSON; does the base URL lead to a hub's API?", status_code=status
        ) from error


def _problem(body: bytes) -> JsonObject:
    """The problem answer; empty where a proxy or another server answered."""
    try:
        problem = parse_json(body)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def error_for(
    request: Request, *, status: int, headers: Mapping[str, str], problem: JsonObject
) -> errors.ServiceIntegrationError:
    """The one place that maps answers to errors."""
    message = problem.get("message") or problem.get("detail") or problem.get("title")
    text = str(message or f"{request.method} {request.path} was answered with status {status}.")
    code = problem.get("code")
    details: dict[str, Any] = {
        "code": code,
        "status_code": status,
        "request_id": problem.get("request_id") or headers.get("x-request-id"),
    }
    service = str(problem.get("service_name") or problem.get("service") or errors.HUB)
    if status in (400, 413, 415, 422):
        found = _validation_errors(problem)
        return errors.ValidationError(text, validation_errors=found, **details)
    if status == 404:
        about = {
            "resource_type": problem.get("resource_type") or request.about[0],
            "resource_id": problem.get("resource_id") or request.about[1],
        }
        return errors.ResourceNotFoundError(text, **about, **details)
    if status == 429:
        wait = retry_after_seconds(headers.get("retry-after"))
        return errors.RateLimitedError(text, retry_after=wait, **details)
    if code in _OF_THE_CALLED:
        return errors.ServiceCallError(text, service_name=service, **details)
    if status in (502, 503) and code not in _LASTING:
        wait = retry_after_seconds(headers.get("retry-after"))
        return errors.ServiceUnavailableError(
            text, service_name=service, retry_after=wait, **details
        )
    kind = _LASTING.get(str(code)) or _PLAIN.get(status) or _unexpected(status)
    return kind(text, **details)


# What no retry mends, though the status speaks of unavailability.
_OF_THE_CALLED = ("service_error", "address_refused", "credential_error")
_LASTING: dict[str, type[errors.ServiceIntegrationError]] = {
    "connection_disabled": errors.ConflictError,
    "vault_error": errors.ServiceIntegrationError,
}
_PLAIN: dict[int, type[errors.ServiceIntegrationError]] = {
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    408: errors.RequestTimeoutError,
    409: errors.ConflictError,
    412: errors.ConflictError,
    504: errors.RequestTimeoutError,
}


def _unexpected(status: int) -> type[errors.ServiceIntegrationError]:
    return errors.ServiceIntegrationError if status >= 400 else errors.UnexpectedAnswerError


def _validation_errors(problem: JsonObject) -> dict[str, list[str]]:
    found = problem.get("errors")
    if not isinstance(found, dict):
        return {}
    return {
        str(field): [str(each) for each in said] if isinstance(said, list) else [str(said)]
        for field, said in found.items()
    }


def retry_after_seconds(value: str | None, *, now: datetime | None = None) -> float | None:
    """Retry-After in seconds, from its number or its date; None when absent or unreadable."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return _until(value, now=now or datetime.now(timezone.utc))
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _until(value: str, *, now: datetime) -> float | None:
    from email.utils import parsedate_to_datetime  # rarely needed, and slow to import

    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return max(0.0, (moment - now).total_seconds())
