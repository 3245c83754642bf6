"""The id of the request at hand, which the middleware binds and every log line has."""

import structlog


def current_request_id() -> str:
    """Return the id of the request at hand; empty outside one."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))
