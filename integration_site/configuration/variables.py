"""Every variable of the hub, with its default as one would write it (pure).

`docs/configuration.md` lists the same with their effects; a test holds both together.
"""

from __future__ import annotations

from dataclasses import dataclass

from integration_site.configuration import kinds
from integration_site.configuration.kinds import Kind

ROLES = ("VIEWER", "SERVICE", "WORKFLOW_EDITOR", "OPERATOR", "SECRET_ADMIN", "AUDITOR")


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable; empty and unset are the same. A secret's value is never repeated."""

    name: str
    kind: Kind
    default: str = ""
    secret: bool = False


def _table(*variables: Variable) -> dict[str, Variable]:
    return {variable.name: variable for variable in variables}


VARIABLES = _table(
    Variable("ENVIRONMENT", kinds.choice("development", "production"), "development"),
    Variable("SERVICE_NAME", kinds.NAME, "service-integration"),
    Variable("SERVICE_HOST", kinds.HOST_NAME, "127.0.0.1"),
    Variable("SERVICE_PORT", kinds.PORT, "8090"),
    Variable("DATA_DIR", kinds.DIRECTORY),
    Variable("DATABASE_URL", kinds.DATABASE, secret=True),
    Variable("POSTGRES_HOST", kinds.HOST_NAME),
    Variable("POSTGRES_PORT", kinds.PORT, "5432"),
    Variable("POSTGRES_USER", kinds.ANYTHING, "postgres"),
    Variable("POSTGRES_PASSWORD", kinds.ANYTHING, "postgres", secret=True),
    Variable("POSTGRES_DB", kinds.ANYTHING, "berrys_integration"),
    Variable("POSTGRES_PREPARE", kinds.BOOLEAN, "true"),
    Variable("REDIS_URL", kinds.REDIS, secret=True),
    Variable("REDIS_HOST", kinds.HOST_NAME),
    Variable("REDIS_PORT", kinds.PORT, "6379"),
    Variable("SECRET_KEY", kinds.ANYTHING, secret=True),
    Variable("CREDENTIAL_KEYS", kinds.KEYS, secret=True),
    Variable("ALLOWED_HOSTS", kinds.HOSTS),
    Variable("CSRF_TRUSTED_ORIGINS", kinds.ORIGINS),
    Variable("WEB_THREADS", kinds.whole(1, 1000), "32"),
    Variable("SECURE_SSL_REDIRECT", kinds.BOOLEAN, "true"),
    Variable("SECURE_HSTS_SECONDS", kinds.whole(0, 2_000_000_000), "31536000"),
    Variable("TRUST_FORWARDED_PROTO", kinds.BOOLEAN, "false"),
    Variable("WATCH_SEATS", kinds.whole(1, 1000)),
    Variable("WAIT_SEATS", kinds.whole(1, 1000)),
    Variable("DEBUG", kinds.BOOLEAN, "false"),
    Variable("ANONYMOUS_API_ROLE", kinds.choice(*ROLES)),
    Variable("ANONYMOUS_API_NETWORKS", kinds.NETWORKS),
    Variable("ENGINE_MAX_IN_FLIGHT", kinds.whole(1, 100_000), "500"),
    Variable("ENGINE_LEASE_SECONDS", kinds.seconds(0.1, 3600), "15.0"),
    Variable("ENGINE_GRACE_SECONDS", kinds.seconds(0, 3600), "5.0"),
    Variable("ALLOWED_NETWORKS", kinds.NETWORKS),
    Variable("CALL_TIMEOUT_SECONDS", kinds.seconds(0.1, 86_400), "30.0"),
    Variable("FAILPOINT", kinds.FAILPOINT_KIND),
    Variable(
        "SERVICE_DISCOVERY_BACKEND", kinds.choice("database", "redis", "etcd", "consul"), "database"
    ),
    Variable("SERVICE_DISCOVERY_URL", kinds.DISCOVERY, secret=True),
    Variable("SERVICE_DISCOVERY_TOKEN", kinds.ANYTHING, secret=True),
    Variable("ZONE", kinds.LABEL_TEXT),
    Variable("MASS_EXPIRY_PERCENT", kinds.whole(0, 100), "15"),
    Variable("MASS_EXPIRY_MINIMUM", kinds.whole(0, 1_000_000), "3"),
    Variable("PROBE_INTERVAL_SECONDS", kinds.whole(0, 86_400), "30"),
    Variable("PROBE_FAILURE_THRESHOLD", kinds.whole(1, 1000), "3"),
    Variable("PROBE_SUCCESS_THRESHOLD", kinds.whole(1, 1000), "2"),
    Variable("INSTANCE_RETENTION_DAYS", kinds.DAYS, "7"),
    Variable("RETENTION_DAYS", kinds.RETENTION),
    Variable(
        "RETENTION_DEFAULT", kinds.choice("SHORT", "STANDARD", "LONG", "FOREVER"), "FOREVER"
    ),
    Variable("RETENTION_FAILED_DAYS", kinds.DAYS_OR_EVER, "30"),
    Variable("INTEGRATION_HISTORY_DAYS", kinds.DAYS, "30"),
    Variable("INTEGRATION_HISTORY_MOST", kinds.MOST, "10000"),
    Variable("CREDENTIAL_HISTORY_DAYS", kinds.DAYS_OR_EVER, "365"),
    Variable("AUDIT_HISTORY_DAYS", kinds.DAYS_OR_EVER, "365"),
    Variable("WEBHOOK_HISTORY_DAYS", kinds.DAYS, "30"),
    Variable("WEBHOOK_HISTORY_MOST", kinds.MOST, "10000"),
    Variable("LOG_LEVEL", kinds.choice("DEBUG", "INFO", "WARNING", "ERROR"), "INFO"),
    Variable("LOG_FORMAT", kinds.choice("console", "json")),
    Variable("ADMIN_USERNAME", kinds.LOGIN, "operator"),
    Variable("ADMIN_PASSWORD", kinds.ANYTHING, secret=True),
)  # fmt: skip
