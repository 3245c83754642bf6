"""The values that parsers of the earlier system know, in place of those that came later (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Without an entry, a value is one that the earlier system has too.
SERVICE_STATUSES = {"UNKNOWN": "OFFLINE", "PENDING": "OFFLINE"}
SERVICE_TYPES = {"EXTERNAL_API": "API_GATEWAY", "CUSTOM": "TOOL_INTEGRATION"}
WORKFLOW_TYPES = {
    "PROJECT_CREATION": "PROJECT_PLANNING",
    "HUMAN_INTERACTION": "AGENT_TASK_EXECUTION",
    "CUSTOM": "DATA_PROCESSING",
}
EXECUTION_STATUSES = {
    "WAITING": "RUNNING",
    "PAUSED": "PENDING",
    "COMPENSATING": "RUNNING",
    "NEEDS_REVIEW": "FAILED",
}
STEP_STATUSES = {
    "WAITING": "RUNNING",
    "SKIPPED": "CANCELLED",
    "COMPENSATED": "CANCELLED",
    "NEEDS_REVIEW": "FAILED",
}
CIRCUIT_STATES = {"FORCED_OPEN": "OPEN", "DISABLED": "CLOSED"}


def old_value(values: Mapping[str, str], value: Any) -> Any:
    """Return the value that an earlier parser knows, in upper case."""
    word = value.upper() if isinstance(value, str) else value
    return values.get(word, word) if isinstance(word, str) else word
