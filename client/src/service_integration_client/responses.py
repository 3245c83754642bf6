"""Reads an answer of the hub: its content, or the one error of the tree that fits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from service_integration_client import exceptions as errors
from service_integration_client.requests import JsonObject, Request
from service_integration_client.strict_json import parse_json

# No retry mends them, though their status speaks of unavailability.
_ERRORS_BY_CODE: dict[str, type[errors.ServiceIntegrationError]] = {
    "connection_disabled": errors.ConflictError,
    "vault_error": errors.ServiceIntegrationError,
}
_CODES_OF_THE_CALLED_SERVICE = ("service_error", "address_refused", "credential_error")
_ERRORS_BY_STATUS: dict[int, type[errors.ServiceIntegrationError]] = {
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    408: errors.RequestTimeoutError,
    409: errors.ConflictError,
    412: errors.ConflictError,
    504: errors.RequestTimeoutError,
}


def content_of(request: Request, *, status: int, headers: Mapping[str, str], body: bytes) -> Any:
    """Return the JSON of a 2xx answer; None when it is empty. Raises: ServiceIntegrationError."""
    if not 200 <= status < 300:
        raise error_for(request, status=status, headers=headers, problem=_problem(body))
    if not body.strip():
        return None
    try:
        return parse_json(body)
    except ValueError as error:
        raise errors.UnexpectedAnswerError(
            "The answer is not JSON; does the base URL lead to a hub's API?", status_code=status
        ) from error


def _problem(body: bytes) -> JsonObject:
    """Return the problem answer; empty where a proxy or another server answered."""
    try:
        problem = parse_json(body)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def error_for(
    request: Request, *, status: int, headers: Mapping[str, str], problem: JsonObject
) -> errors.ServiceIntegrationError:
    """Return the error for an answer; nothing else maps answers to errors."""
    message = problem.get("message") or problem.get("detail") or problem.get("title")
    text = str(message or f"{request.method} {request.path} was answered with status {status}.")
    code = problem.get("code")
    details: dict[str, Any] = {
        "code": code,
        "status_code": status,
        "request_id": problem.get("request_id") or headers.get("x-request-id"),
    }
    service = str(problem.get("service_name") or problem.get("service") or errors.HUB)
    retry_after = retry_after_seconds(headers.get("retry-after"))
    if status in (400, 413, 415, 422):
        return errors.ValidationError(
            text, validation_errors=_validation_errors(problem), **details
        )
    if status == 404:
        return errors.ResourceNotFoundError(
            text,
            resource_type=problem.get("resource_type") or request.about[0],
            resource_id=problem.get("resource_id") or request.about[1],
            **details,
        )
    if status == 429:
        return errors.RateLimitedError(text, retry_after=retry_after, **details)
    if code in _CODES_OF_THE_CALLED_SERVICE:
        return errors.ServiceCallError(text, service_name=service, **details)
    if status in (502, 503) and str(code) not in _ERRORS_BY_CODE:
        return errors.ServiceUnavailableError(
            text, service_name=service, retry_after=retry_after, **details
        )
    error_type = _ERRORS_BY_CODE.get(str(code)) or _ERRORS_BY_STATUS.get(status)
    if error_type is None:
        is_error = status >= 400
        error_type = errors.ServiceIntegrationError if is_error else errors.UnexpectedAnswerError
    return error_type(text, **details)


def _validation_errors(problem: JsonObject) -> dict[str, list[str]]:
    fields = problem.get("errors")
    if not isinstance(fields, dict):
        return {}
    return {
        str(path): [*map(str, sentences)] if isinstance(sentences, list) else [str(sentences)]
        for path, sentences in fields.items()
    }


def retry_after_seconds(value: str | None, *, now: datetime | None = None) -> float | None:
    """Return Retry-After in seconds, from its number or its date; None if absent or unreadable."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return _seconds_until(value, now=now or datetime.now(timezone.utc))
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _seconds_until(date: str, *, now: datetime) -> float | None:
    from email.utils import parsedate_to_datetime  # rarely needed, and slow to import

    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, TypeError):  # the latter before Python 3.10
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return max(0.0, (moment - now).total_seconds())
