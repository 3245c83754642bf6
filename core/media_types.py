"""Media types, compared as RFC 9110 (8.3.1) says: in any case, without their parameters (pure)."""

from __future__ import annotations


def media_type_of(header: str | None) -> str:
    """Return the type and subtype of a `Content-Type` in lower case; empty where there is none."""
    return (header or "").partition(";")[0].strip().lower()


def is_json(header: str | None) -> bool:
    """Return whether a `Content-Type` says JSON: by its own name, or by its suffix (RFC 6839)."""
    media_type = media_type_of(header)
    return media_type in ("application/json", "text/json") or media_type.endswith("+json")
