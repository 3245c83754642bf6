"""Every variable of the hub, with its default as one would write it (pure).

`docs/configuration.md` lists the same with their effects; a test holds both together.
"""

from __future__ import annotations

from dataclasses import dataclass

from integration_site.configuration import value_types as types
from integration_site.configuration.value_types import ValueType

ROLES = ("VIEWER", "SERVICE", "WORKFLOW_EDITOR", "OPERATOR", "SECRET_ADMIN", "AUDITOR")


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable; empty and unset are the same. A secret's value is never repeated."""

    name: str
    type: ValueType
    default: str = ""
    secret: bool = False


def _table(*variables: Variable) -> dict[str, Variable]:
    return {variable.name: variable for variable in variables}


VARIABLES = _table(
    Variable("ENVIRONMENT", types.choice("development", "production"), "development"),
    Variable("SERVICE_NAME", types.NAME, "service-integration"),
    Variable("SERVICE_HOST", types.HOST_NAME, "127.0.0.1"),
    Variable("SERVICE_PORT", types.PORT, "8090"),
    Variable("DATA_DIR", types.DIRECTORY),
    Variable("DATABASE_URL", types.DATABASE, secret=True),
    Variable("POSTGRES_HOST", types.HOST_NAME),
    Variable("POSTGRES_PORT", types.PORT, "5432"),
    Variable("POSTGRES_USER", types.ANYTHING, "postgres"),
    Variable("POSTGRES_PASSWORD", types.ANYTHING, "postgres", secret=True),
    Variable("POSTGRES_DB", types.ANYTHING, "berrys_integration"),
    Variable("POSTGRES_PREPARE", types.BOOLEAN, "true"),
    Variable("REDIS_URL", types.REDIS, secret=True),
    Variable("REDIS_HOST", types.HOST_NAME),
    Variable("REDIS_PORT", types.PORT, "6379"),
    Variable("SECRET_KEY", types.ANYTHING, secret=True),
    Variable("CREDENTIAL_KEYS", types.KEYS, secret=True),
    Variable("ALLOWED_HOSTS", types.HOSTS),
    Variable("CSRF_TRUSTED_ORIGINS", types.ORIGINS),
    Variable("WEB_PROCESSES", types.whole(1, 64)),
    Variable("WEB_THREADS", types.whole(1, 1000), "8"),
    Variable("CONNECTIONS_PER_ADDRESS", types.whole(1, 1_000_000), "5000"),
    Variable("REQUESTS_PER_CALLER", types.whole(1, 100_000), "2048"),
    Variable("REQUESTS_PER_ADDRESS", types.whole(1, 100_000), "4096"),
    Variable("WAITS_PER_CALLER", types.whole(1, 100_000), "2048"),
    Variable("WAITS_PER_ADDRESS", types.whole(1, 100_000), "4096"),
    Variable("SECURE_SSL_REDIRECT", types.BOOLEAN, "true"),
    Variable("SECURE_HSTS_SECONDS", types.whole(0, 2_000_000_000), "31536000"),
    Variable("TRUSTED_PROXIES", types.NETWORKS),
    Variable("DEBUG", types.BOOLEAN, "false"),
    Variable("API_RATE_LIMIT", types.whole(0, 1_000_000), "0"),
    Variable("ANONYMOUS_API_ROLE", types.choice(*ROLES)),
    Variable("ANONYMOUS_API_NETWORKS", types.NETWORKS),
    Variable("LEGACY_API", types.BOOLEAN, "false"),
    Variable("REGISTRATION_POLICY", types.choice("OPEN", "KEYED", "APPROVED")),
    Variable("METADATA_MAX_BYTES", types.whole(2, 1_048_576), "65536"),
    Variable("TAGS_MAX", types.whole(1, 10_000), "100"),
    Variable("INSTANCES_PER_SERVICE", types.whole(1, 100_000), "1000"),
    Variable("SERVICES_PER_OWNER", types.MOST, "20000"),
    Variable("SIGNALS_PER_EXECUTION", types.MOST, "10000"),
    Variable("EVENTS_PER_EXECUTION", types.whole(10, 1_000_000_000), "50000"),
    Variable("ENGINE_MAX_IN_FLIGHT", types.whole(1, 100_000), "500"),
    Variable("ENGINE_LEASE_SECONDS", types.seconds(0.1, 3600), "15.0"),
    Variable("ENGINE_GRACE_SECONDS", types.seconds(0, 3600), "5.0"),
    Variable("ALLOWED_NETWORKS", types.NETWORKS),
    Variable("WORKFLOW_CATALOG", types.choice("standard", "fleet"), "standard"),
    Variable("CALL_TIMEOUT_SECONDS", types.seconds(0.1, 86_400), "30.0"),
    Variable("FAILPOINT", types.FAILPOINT_PLACE),
    Variable(
        "SERVICE_DISCOVERY_BACKEND", types.choice("database", "redis", "etcd", "consul"), "database"
    ),
    Variable("SERVICE_DISCOVERY_URL", types.DISCOVERY, secret=True),
    Variable("SERVICE_DISCOVERY_TOKEN", types.ANYTHING, secret=True),
    Variable("ZONE", types.LABEL_TEXT),
    Variable("MASS_EXPIRY_PERCENT", types.whole(0, 100), "15"),
    Variable("MASS_EXPIRY_MINIMUM", types.whole(0, 1_000_000), "3"),
    Variable("PROBE_INTERVAL_SECONDS", types.whole(0, 86_400), "30"),
    Variable("PROBE_FAILURE_THRESHOLD", types.whole(1, 1000), "3"),
    Variable("PROBE_SUCCESS_THRESHOLD", types.whole(1, 1000), "2"),
    Variable("INSTANCE_RETENTION_DAYS", types.DAYS, "7"),
    Variable("RETENTION_DAYS", types.RETENTION),
    Variable(
        "RETENTION_DEFAULT", types.choice("SHORT", "STANDARD", "LONG", "FOREVER"), "FOREVER"
    ),
    Variable("RETENTION_FAILED_DAYS", types.DAYS_OR_EVER, "30"),
    Variable("INTEGRATION_HISTORY_DAYS", types.DAYS, "30"),
    Variable("INTEGRATION_HISTORY_MOST", types.MOST, "10000"),
    Variable("CREDENTIAL_HISTORY_DAYS", types.DAYS_OR_EVER, "365"),
    Variable("AUDIT_HISTORY_DAYS", types.DAYS_OR_EVER, "365"),
    Variable("MODEL_HISTORY_DAYS", types.DAYS_OR_EVER, "365"),
    Variable("WEBHOOK_HISTORY_DAYS", types.DAYS, "30"),
    Variable("WEBHOOK_HISTORY_MOST", types.MOST, "10000"),
    Variable("PUBLIC_URL", types.ORIGIN),
    Variable(
        "MONITORING_CANARIES",
        types.list_of(types.url("https", "http"), "URLs, separated by commas"),
    ),
    Variable("MONITORING_HEARTBEAT_URL", types.url("https", "http"), secret=True),
    Variable("EMAIL_HOST", types.HOST_NAME),
    Variable("EMAIL_PORT", types.PORT, "587"),
    Variable("EMAIL_USERNAME", types.ANYTHING),
    Variable("EMAIL_PASSWORD", types.ANYTHING, secret=True),
    Variable("EMAIL_TLS", types.choice("none", "starttls", "tls"), "starttls"),
    Variable("EMAIL_FROM", types.SENDER, "service-integration@localhost"),
    Variable("LOG_LEVEL", types.choice("DEBUG", "INFO", "WARNING", "ERROR"), "INFO"),
    Variable("LOG_FORMAT", types.choice("console", "json")),
    Variable("ADMIN_USERNAME", types.LOGIN, "operator"),
    Variable("ADMIN_PASSWORD", types.ANYTHING, secret=True),
)  # fmt: skip
