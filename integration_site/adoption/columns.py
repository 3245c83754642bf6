"""Which columns of an earlier table nothing is made of, and why (pure).

What is written down here is what the conversions read, which a test compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from integration_site.adoption.shapes import Recognised

_STAMPS = "the hub has its own time of storing a row"
_UNKNOWN = "nothing of the hub's is made of a column of this name"

_TAKEN = {
    kind: frozenset(names.split())
    for kind, names in {
        "registered_service": (
            "id service_id name type version base_url health_check_url status last_heartbeat"
            " registered_at endpoints service_metadata metadata"
        ),
        "circuit_breaker_state": "id service_id state failure_count last_failure_time",
        "workflow_execution": (
            "id workflow_id workflow_type service_id status data options result errors start_time"
            " end_time execution_time created_at"
        ),
        "workflow_step": (
            "id workflow_id step_id name status start_time end_time execution_time result errors"
        ),
        "credential": (
            "id name type credential_type auth_type description expires_at secret secret_value"
            " value api_key apikey key token access_token password client_secret private_key"
            " config configuration settings options metadata base_url url endpoint address uri"
            " username user_name login header query_parameter token_url client_id scopes audience"
            " key_name algorithm certificate ca"
        ),
        "connection": (
            "id name type connection_type description base_url url endpoint address uri host port"
            " database database_name db_name username user_name login credential_id credential"
        ),
        "integration": (
            "id name integration_type type status description source_service_id"
            " target_service_id config configuration settings options endpoint metadata"
        ),
        "model": (
            "id model_id provider display_name description capabilities status max_tokens"
            " token_limit cost_per_token configuration model_metadata"
        ),
        "ai_model": (
            "id provider version capabilities context_window cost_per_1k_input cost_per_1k_output"
            " is_local status created_at"
        ),
        "model_budget": (
            "id project_id monthly_limit current_usage last_reset alert_percentage updated_at"
        ),
        "model_performance": (
            "id model_id task_type quality_score success_rate sample_count metrics created_at"
            " updated_at"
        ),
        "model_performance_history": (
            "id model_id task_type quality_score success_rate sample_count metrics created_at"
            " updated_at period_type period_start period_end"
        ),
        "model_feedback": (
            "id request_id model_id task_type quality_rating success feedback_text original_content"
            " corrected_content has_corrections user_id created_at"
        ),
        "request": (
            "id request_id request_type model_id provider user_id project_id task_id request_data"
            " response_data prompt_tokens completion_tokens total_tokens latency_ms cost success"
            " error_message error_code created_at completed_at updated_at"
        ),
        "provider_quota": (
            "id provider daily_token_limit monthly_token_limit daily_cost_limit monthly_cost_limit"
            " daily_tokens_used monthly_tokens_used daily_cost_used monthly_cost_used created_at"
            " updated_at"
        ),
    }.items()
}
_REASONS: Mapping[tuple[str, str], str] = {
    ("circuit_breaker_state", "half_open_call_count"): "what was HALF_OPEN is due for its next try",
    ("workflow_execution", "updated_at"): "the time of its last change is that of its end",
    ("workflow_step", "description"): "steps of executions have none in the hub",
    ("connection", "status"): "the hub tests its connections itself",
    ("connection", "config"): "what the hub may set of a connection has fields of its own",
    ("provider_quota", "daily_reset_at"): "days begin at midnight in the time zone of the quota",
    ("provider_quota", "monthly_reset_at"): "months begin on their first day",
}


@dataclass(frozen=True)
class ColumnNotTaken:
    """A column that stays in its table alone."""

    table: str
    column: str
    type: str
    reason: str


def columns_not_taken(tables: Iterable[Recognised]) -> list[ColumnNotTaken]:
    """Return the columns of tables that are taken of which nothing is made, with the reason."""
    return [
        ColumnNotTaken(each.table.name, column.name, column.type, _reason(each, column.name))
        for each in tables
        if each.kind.becomes
        for column in each.table.columns
        if column.name.lower() not in _TAKEN[each.kind.name]
    ]


def _reason(each: Recognised, column: str) -> str:
    name = column.lower()
    stamps = _STAMPS if name in ("created_at", "updated_at") else _UNKNOWN
    return _REASONS.get((each.kind.name, name), stamps)


def tables_not_taken(tables: Iterable[Recognised]) -> list[dict[str, Any]]:
    """Return the tables of which nothing is made, with their rows and the reason."""
    return [
        {"table": each.table.name, "rows": each.table.rows, "reason": each.kind.why_not}
        for each in tables
        if not each.kind.becomes
    ]


def not_taken(tables: Iterable[Recognised]) -> dict[str, Any]:
    """Return all that stays where it is, as JSON."""
    found = list(tables)
    return {
        "tables_not_taken": tables_not_taken(found),
        "columns_not_taken": [asdict(each) for each in columns_not_taken(found)],
    }
