"""One rendering of every error: problem documents of RFC 9457."""

from __future__ import annotations

import http
import math
from collections.abc import Mapping
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from core.exceptions import IntegrationError
from core.request_ids import current_request_id

logger = structlog.get_logger(__name__)

CONTENT_TYPE = "application/problem+json"
CODES = {
    400: "validation_error",
    401: "unauthenticated",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    412: "precondition_failed",
    413: "payload_too_large",
    415: "unsupported_media_type",
    429: "rate_limited",
    503: "service_unavailable",
}


def problem(
    status: int,
    detail: str,
    *,
    code: str = "",
    errors: Mapping[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return a problem document; `message` repeats `detail` for clients that look for it."""
    name = code or CODES.get(status, "error")
    return {
        "type": f"urn:service-integration:problem:{name}",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": name,
        "message": detail,
        "errors": dict(errors or {}),
        "request_id": current_request_id(),
        **more,
    }


def problem_response(error: Exception, context: Mapping[str, Any]) -> Response:
    """Handle the exceptions of every API view."""
    set_rollback()
    headers: dict[str, str] = {}
    if isinstance(error, IntegrationError):
        body = _of_integration_error(error, headers)
    elif isinstance(error, exceptions.APIException):
        body = _of_api_exception(error, headers)
    elif isinstance(error, Http404):
        body = problem(404, str(error) or "There is nothing here.")
    elif isinstance(error, PermissionDenied):
        body = problem(403, str(error) or "This caller may not do this.")
    elif isinstance(error, OperationalError | InterfaceError):
        logger.warning("database_unavailable", error=str(error)[:500])
        headers["Retry-After"] = "5"
        body = problem(503, "The database does not answer. Try again in a few seconds.")
    else:
        view = type(context.get("view")).__name__
        logger.error("unexpected_error", view=view, exc_info=error)
        body = _of_unexpected(error)
    return Response(body, status=body["status"], headers=headers, content_type=CONTENT_TYPE)


def _of_integration_error(error: IntegrationError, headers: dict[str, str]) -> dict[str, Any]:
    details = {k: v for k, v in error.details.items() if v not in (None, "")}
    errors = details.pop("errors", None)
    details.pop("code", None)
    if (seconds := getattr(error, "retry_after", None)) is not None:
        headers["Retry-After"] = str(math.ceil(seconds))
    return problem(
        error.status_code, error.message, code=error.problem_code, errors=errors, **details
    )


def _of_api_exception(error: exceptions.APIException, headers: dict[str, str]) -> dict[str, Any]:
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if isinstance(error, exceptions.ValidationError):
        errors = flatten(error.detail)
        return problem(400, summarise(errors), errors=errors)
    if isinstance(error, exceptions.UnsupportedMediaType):
        return problem(415, "Send JSON, and say so: Content-Type: application/json.")
    code = str(getattr(error, "problem_code", ""))
    return problem(error.status_code, str(error.detail), code=code)


def _of_unexpected(error: Exception) -> dict[str, Any]:
    if isinstance(error, DatabaseError | ValueError):
        return problem(400, "A value in this request cannot be stored.", code="validation_error")
    return problem(500, "Something went wrong here; it was logged.", code="internal_error")


def flatten(detail: Any, path: str = "") -> dict[str, list[str]]:
    """Turn nested errors into a map from a path such as `steps[2].next` to sentences."""
    if isinstance(detail, Mapping):
        found: dict[str, list[str]] = {}
        for key, value in detail.items():
            name = f"[{key}]" if isinstance(key, int) else str(key)
            joined = path if name == "non_field_errors" else _join(path, name)
            found.update(flatten(value, joined))
        return found
    if isinstance(detail, list) and any(isinstance(item, Mapping | list) for item in detail):
        found = {}
        for index, item in enumerate(detail):
            if item:
                found.update(flatten(item, f"{path}[{index}]"))
        return found
    sentences = detail if isinstance(detail, list) else [detail]
    return {path or "$": [str(sentence) for sentence in sentences]}


def _join(path: str, name: str) -> str:
    if not path or name.startswith("["):
        return path + name
    return f"{path}.{name}"


def summarise(errors: Mapping[str, list[str]]) -> str:
    """Return one sentence for all: the first error, and how many more there are."""
    path, sentences = next(iter(errors.items()), ("$", ["The request is not valid."]))
    more = sum(len(found) for found in errors.values()) - 1
    text = f"{path}: {sentences[0]}" if path != "$" else sentences[0]
    return f"{text} ({more} more)" if more > 0 else text


def page_not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer 404 outside API views: no route has this path."""
    sentence = f"There is nothing at {request.path[:200]}. See /docs for what there is."
    return JsonResponse(problem(404, sentence), status=404, content_type=CONTENT_TYPE)


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer 403 outside API views."""
    sentence = str(exception or "") or "This caller may not do this."
    return JsonResponse(problem(403, sentence), status=403, content_type=CONTENT_TYPE)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer 400 outside API views: a host or a form that Django refuses."""
    sentence = "The request cannot be read. Is the host name one of ALLOWED_HOSTS?"
    return JsonResponse(problem(400, sentence), status=400, content_type=CONTENT_TYPE)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500 outside API views."""
    body = problem(500, "Something went wrong here; it was logged.", code="internal_error")
    return JsonResponse(body, status=500, content_type=CONTENT_TYPE)
