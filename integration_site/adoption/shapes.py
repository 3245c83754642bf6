"""The tables that the earlier system had, by what tells each apart from others (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from integration_site.adoption.catalogue import Catalogue, Table

SERVICE_TYPES = (
    "AGENT_ORCHESTRATOR", "MODEL_ORCHESTRATION", "TOOL_INTEGRATION", "PROJECT_COORDINATOR",
    "PLANNING_SYSTEM", "SERVICE_INTEGRATION", "API_GATEWAY", "WEB_DASHBOARD",
)  # fmt: skip
SERVICE_STATUSES = ("ONLINE", "OFFLINE", "DEGRADED", "MAINTENANCE")
CIRCUIT_STATES = ("CLOSED", "OPEN", "HALF_OPEN")
WORKFLOW_TYPES = (
    "PROJECT_PLANNING", "AGENT_TASK_EXECUTION", "TOOL_INTEGRATION", "MODEL_EVALUATION",
    "DATA_PROCESSING",
)  # fmt: skip
WORKFLOW_STATUSES = ("PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED")
PROVIDERS = ("OPENAI", "ANTHROPIC", "OLLAMA", "CUSTOM")
MODEL_STATUSES = ("ACTIVE", "INACTIVE", "DEPRECATED")
REQUEST_TYPES = (
    "CHAT", "COMPLETION", "EMBEDDING", "IMAGE_GENERATION", "AUDIO_TRANSCRIPTION",
    "AUDIO_TRANSLATION",
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A table of the earlier system: its names, the columns that tell it, and its enum columns.

    `becomes` says in words what the hub makes of its rows; empty where it makes nothing of them,
    which is what `why_not` tells.
    """

    name: str
    plural: str = ""
    needs: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()
    enums: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    key: str = "id"
    becomes: str = ""
    why_not: str = "the hub keeps nothing like it"

    def is_shape_of(self, table: Table) -> bool:
        """Return whether a table has this name, in either number, and these columns."""
        if table.name.lower() not in (self.name, self.plural):
            return False
        return self.needs <= table.column_names and not self.lacks & table.column_names


KINDS = (
    Kind(
        "registered_service", "registered_services", frozenset({"service_id", "name", "type"}),
        enums={"type": SERVICE_TYPES, "status": SERVICE_STATUSES}, key="service_id",
        becomes="services, their instances and actions",
    ),
    Kind(
        "circuit_breaker_state", "circuit_breaker_states", frozenset({"service_id", "state"}),
        enums={"state": CIRCUIT_STATES}, key="service_id", becomes="circuit breakers",
    ),
    Kind(
        "workflow_execution", "workflow_executions", frozenset({"workflow_id", "workflow_type"}),
        enums={"workflow_type": WORKFLOW_TYPES, "status": WORKFLOW_STATUSES}, key="workflow_id",
        becomes="executions with their history",
    ),
    Kind(
        "workflow_step", "workflow_steps", frozenset({"workflow_id", "step_id"}),
        enums={"status": WORKFLOW_STATUSES}, becomes="steps of executions",
    ),
    Kind(
        "credential", "credentials", frozenset({"name"}), frozenset({"ciphertext"}),
        becomes="credentials, their secrets in the vault",
    ),
    Kind(
        "connection", "connections", frozenset({"name"}), frozenset({"check_interval_seconds"}),
        becomes="connections",
    ),
    Kind(
        "integration", "integrations", frozenset({"name"}), frozenset({"target_kind"}),
        becomes="integrations",
    ),
    Kind(
        "model", "models", frozenset({"model_id", "provider", "capabilities"}),
        frozenset({"connection_id"}),
        enums={"provider": PROVIDERS, "status": MODEL_STATUSES}, key="model_id", becomes="models",
    ),
    Kind(
        "request", "requests", frozenset({"request_id", "request_type", "model_id"}),
        frozenset({"model_asked"}),
        enums={"request_type": REQUEST_TYPES, "provider": PROVIDERS}, key="request_id",
        becomes="requests to models",
    ),
    Kind(
        "provider_quota", "provider_quotas", frozenset({"provider", "daily_tokens_used"}),
        enums={"provider": PROVIDERS}, becomes="quotas of providers, and what is used of them",
    ),
    Kind(
        "model_performance", needs=frozenset({"model_id", "task_type", "sample_count"}),
        lacks=frozenset({"success_count"}), becomes="how well models do tasks",
    ),
    Kind(
        "model_performance_history", needs=frozenset({"model_id", "period_start"}),
        lacks=frozenset({"success_count"}), becomes="how well models did in days, weeks and months",
    ),
    Kind(
        "model_feedback", needs=frozenset({"request_id", "quality_rating"}),
        lacks=frozenset({"caller"}), becomes="what was said of answers",
    ),
    Kind(
        "service_integration_config", needs=frozenset({"key", "value"}), key="key",
        why_not="the hub is set by environment variables: see docs/configuration.md",
    ),
    Kind(
        "ai_model", needs=frozenset({"provider", "is_local"}),
        becomes="models, with what they cost",
    ),
    Kind(
        "model_performance_metric", needs=frozenset({"model_id", "latency_ms"}),
        why_not="it does not say of what type a request was",
    ),
    Kind(
        "model_usage", needs=frozenset({"model_id", "input_tokens"}),
        why_not="it does not say of what type a request was, or whether it succeeded",
    ),
    Kind(
        "model_budget", needs=frozenset({"monthly_limit", "alert_percentage"}),
        becomes="budgets of projects, which warn",
    ),
)  # fmt: skip
BY_NAME: Mapping[str, Kind] = {kind.name: kind for kind in KINDS}
# These the documents of the earlier system name otherwise than by table and column.
_CHECK_NAMES = {("request", "request_type"): "request_type_check"}


def check_name(table: str, column: str) -> str:
    """Return the name of the check constraint of an enum column."""
    return _CHECK_NAMES.get((table, column), f"{table}_{column}_check")


@dataclass(frozen=True)
class Recognised:
    """A table of a source, and what it is of the earlier system."""

    table: Table
    kind: Kind


def recognise(
    catalogue: Catalogue, *, hub_tables: Collection[str] = ()
) -> tuple[tuple[Recognised, ...], tuple[Table, ...]]:
    """Return the tables of the earlier system, and others that stand where a hub's are to be.

    `hub_tables` are the names of the hub's own tables, if the source is the hub's own database.
    """
    recognised = tuple(_recognised(catalogue.tables))  # no table of the hub's has such a shape
    if catalogue.has_hub:
        return recognised, ()
    known = {each.table for each in recognised}
    ours = frozenset(hub_tables)
    return recognised, tuple(t for t in catalogue.tables if t.name in ours and t not in known)


def _recognised(tables: Iterable[Table]) -> Iterable[Recognised]:
    for table in tables:
        kind = next((kind for kind in KINDS if kind.is_shape_of(table)), None)
        if kind is not None:
            yield Recognised(table, kind)
