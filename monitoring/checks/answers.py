"""Decides whether an answer is well: its status, what it says, how long it took (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry.calls.error_responses import describe_error_response
from registry.calls.probes import Reading


def judge(reading: Reading, conditions: Mapping[str, Any]) -> tuple[str, str]:
    """Return the kind of what is wrong with an answer, and a sentence; both empty if nothing."""
    status = reading.status or 0
    if not 200 <= status < 300:
        return "STATUS", f"answered {status}{describe_error_response(reading.body)}"
    return "", ""
