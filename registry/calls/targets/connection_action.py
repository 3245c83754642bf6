"""Reads what of a connection is called: `GET /orders/{id}`, `/orders`, `PUT`, or nothing (pure)."""

from __future__ import annotations

from registry.models import HttpMethod
from registry.policies.request_paths import check_path

EXAMPLE = "GET /orders/{id}"


def parse_connection_action(text: str) -> tuple[str, str]:
    """Return the method, POST unless it says so, and the path that follows the base URL.

    Raises:
        ValueError: it is neither; with a sentence.
    """
    words = text.split()
    method = words.pop(0).upper() if words and not words[0].startswith("/") else "POST"
    path = words.pop(0) if words else ""
    if words or method not in HttpMethod.values or not is_request_path(path):
        methods = ", ".join(HttpMethod.values)
        raise ValueError(
            f"Of a connection, this is a method ({methods}) and a path without query, such as"
            f" {EXAMPLE}; without it, the base URL is given a POST."
        )
    return method, path


def is_request_path(text: str) -> bool:
    """Return whether it is a path, which may be empty, that leads nowhere else."""
    try:
        check_path(text or "/")
    except ValueError:
        return False
    return True
