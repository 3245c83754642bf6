"""Errors of the services, answered as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from aiohttp import web


class ServiceError(Exception):
    """An answer that tells the caller what went wrong; the message is a sentence for a person."""

    status = 500
    code = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        errors: dict[str, list[str]] | None = None,
        status: int | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.errors = errors or {}
        self.status = status or self.status
        self.code = code or self.code


class InvalidInputError(ServiceError):
    """The input does not fit the action's schema."""

    status = 400
    code = "validation_error"


class MalformedBodyError(ServiceError):
    """The body is not a JSON object."""

    status = 400
    code = "malformed_json"


class NotAllowedError(ServiceError):
    """The service may not do this for anyone."""

    status = 403
    code = "permission_denied"


class NotFoundError(ServiceError):
    """The service keeps nothing by this id or name."""

    status = 404
    code = "not_found"


class UnprocessableError(ServiceError):
    """The input is valid, and still nothing can be made of it."""

    status = 422
    code = "unprocessable"


def problem_answer(problem: ServiceError, *, request_id: str) -> web.Response:
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": _title(problem.status),
        "status": problem.status,
        "detail": problem.message,
        "code": problem.code,
        "message": problem.message,
        "errors": problem.errors,
        "request_id": request_id,
    }
    return web.Response(
        text=json.dumps(body), status=problem.status, content_type="application/problem+json"
    )


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
