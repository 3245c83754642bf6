"""Every setting of the hub, from the environment as `configuration` has read and checked it.

The variables, their defaults and their effects are listed in docs/configuration.md.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import environ
from django.templatetags.static import static
from django.urls import reverse_lazy
from kombu import Exchange, Queue

from core.gc_tuning import collect_seldom
from integration_site.beat import BEAT_SCHEDULE
from integration_site.configuration.reading import data_dir, read_or_end
from integration_site.configuration.web_processes import default_web_processes
from integration_site.log_config import configure_structlog, logging_settings

collect_seldom()  # also while what follows is loaded

BASE_DIR = Path(__file__).resolve().parent.parent
env = read_or_end(os.environ)

# Where the embedded database, the embedded broker, keys and collected files live.
DATA_DIR = data_dir(os.environ)
ENVIRONMENT = env["ENVIRONMENT"]
IN_PRODUCTION = ENVIRONMENT == "production"

SERVICE_NAME = env["SERVICE_NAME"]
SERVICE_HOST = env["SERVICE_HOST"]
SERVICE_PORT = env["SERVICE_PORT"]

DEBUG = env["DEBUG"]
SECRET_KEY = env["SECRET_KEY"] or "development-only-" + "0" * 40
# This machine may always be asked by its local names: so do probes, whatever the public name is.
LOCAL_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = [*LOCAL_HOSTS, *env["ALLOWED_HOSTS"]]
if not IN_PRODUCTION:
    ALLOWED_HOSTS.append(SERVICE_HOST)
CSRF_TRUSTED_ORIGINS = env["CSRF_TRUSTED_ORIGINS"]
ADMIN_USERNAME = env["ADMIN_USERNAME"]
ADMIN_PASSWORD = env["ADMIN_PASSWORD"]

INSTALLED_APPS = [
    "integration_site.apps.IntegrationSiteConfig",
    "core",
    "registry",
    "workflows",
    "monitoring",
    "model_orchestration",
    "unfold.apps.BasicAppConfig",
    # The web process loads the admin with its routes; worker and beat do without.
    "integration_site.apps.ConsoleConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_filters",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

MIDDLEWARE = [
    "core.api.middleware.ForwardedMiddleware",
    "core.api.middleware.RequestIdMiddleware",
    "core.api.middleware.RateLimitMiddleware",
    "core.api.middleware.ProbeHostMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "core.api.middleware.ContentSecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "core.api.middleware.TrailingSlashMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "core.api.middleware.ActorMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
# Whether the routes and shapes of the earlier system are understood, as docs/moving.md lists them.
LEGACY_API = env["LEGACY_API"]
if LEGACY_API:
    MIDDLEWARE.append("integration_site.legacy.middleware.LegacyMiddleware")
APPEND_SLASH = False
ROOT_URLCONF = "integration_site.urls"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "integration_site" / "console" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# --- Database: SQLite until PostgreSQL is configured ---

WEB_PROCESSES = env["WEB_PROCESSES"] or default_web_processes(env)
WEB_THREADS = env["WEB_THREADS"]
# Beside them, for heartbeats and the health of the hub.
WEB_VITAL_THREADS = 3


def _postgres_url() -> str:
    """Return the URL of PostgreSQL from POSTGRES_*; empty when POSTGRES_HOST is not set."""
    if not env["POSTGRES_HOST"]:
        return ""
    host = _in_url(env["POSTGRES_HOST"])
    parts = (env["POSTGRES_USER"], env["POSTGRES_PASSWORD"], env["POSTGRES_DB"])
    user, password, name = (quote(part, safe="") for part in parts)
    return f"postgres://{user}:{password}@{host}:{env['POSTGRES_PORT']}/{name}"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _database() -> dict[str, object]:
    url = env["DATABASE_URL"] or _postgres_url()
    if not url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATA_DIR / "hub.sqlite3",
            # A file, as in production: the tests' threads and processes share it.
            "TEST": {"NAME": DATA_DIR / "test.sqlite3"},
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 10,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
        }
    config = environ.Env.db_url_config(url)
    if config["ENGINE"] == "django.db.backends.postgresql":
        config["CONN_HEALTH_CHECKS"] = True
        config["OPTIONS"] = {
            **config.get("OPTIONS", {}),
            "pool": {"min_size": 1, "max_size": WEB_THREADS + WEB_VITAL_THREADS + 8, "timeout": 5},
            "application_name": SERVICE_NAME,
            # What the engine says again and again is planned once for each connection; a pooler
            # between that shares connections may not know plans.
            "prepare_threshold": 3 if env["POSTGRES_PREPARE"] else None,
        }
    return config


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Broker and cache: files and memory until Redis is configured ---


def _redis_url() -> str:
    host = env["REDIS_HOST"]
    return env["REDIS_URL"] or (f"redis://{_in_url(host)}:{env['REDIS_PORT']}/0" if host else "")


REDIS_URL = _redis_url()
BROKER_DIR = DATA_DIR / "broker"
if REDIS_URL:
    CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
    }
    CELERY_BROKER_URL = REDIS_URL
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, object] = {
        "global_keyprefix": f"{SERVICE_NAME}:",
        "socket_connect_timeout": 2,
        "socket_timeout": 5,
    }
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    CELERY_BROKER_URL = "files://localhost"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "folder": str(BROKER_DIR / "messages"),
        "polling_interval": 0.1,
    }

# A message says "look now"; the database holds the work. So nothing is stored and nothing retried.
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_QUEUES = (Queue("hub", Exchange("hub"), routing_key="hub"),)
CELERY_TASK_DEFAULT_QUEUE = "hub"
CELERY_TASK_DEFAULT_EXCHANGE = "hub"
CELERY_TASK_DEFAULT_ROUTING_KEY = "hub"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 16
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 0
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE = BEAT_SCHEDULE

# --- Engine ---

ENGINE_MAX_IN_FLIGHT = env["ENGINE_MAX_IN_FLIGHT"]
ENGINE_LEASE_SECONDS = env["ENGINE_LEASE_SECONDS"]
ENGINE_GRACE_SECONDS = env["ENGINE_GRACE_SECONDS"]
WORKFLOW_CATALOG = env["WORKFLOW_CATALOG"]
CALL_TIMEOUT_SECONDS = env["CALL_TIMEOUT_SECONDS"]
FAILPOINT = env["FAILPOINT"] or ""
SERVICE_DISCOVERY_BACKEND = env["SERVICE_DISCOVERY_BACKEND"]
SERVICE_DISCOVERY_URL = env["SERVICE_DISCOVERY_URL"] or ""
SERVICE_DISCOVERY_TOKEN = env["SERVICE_DISCOVERY_TOKEN"] or ""
ZONE = env["ZONE"] or ""
# 100 believes every silence; what expires within two minutes is counted together.
MASS_EXPIRY_PERCENT = env["MASS_EXPIRY_PERCENT"]
MASS_EXPIRY_MINIMUM = env["MASS_EXPIRY_MINIMUM"]
# 0 asks no health URL by itself.
PROBE_INTERVAL_SECONDS = env["PROBE_INTERVAL_SECONDS"]
PROBE_FAILURE_THRESHOLD = env["PROBE_FAILURE_THRESHOLD"]
PROBE_SUCCESS_THRESHOLD = env["PROBE_SUCCESS_THRESHOLD"]
# In development the services run beside the hub; elsewhere an operator says where they are.
ALLOWED_NETWORKS = env["ALLOWED_NETWORKS"] or ([] if IN_PRODUCTION else ["127.0.0.0/8", "::1/128"])
RETENTION_DAYS = env["RETENTION_DAYS"]
RETENTION_DEFAULT = env["RETENTION_DEFAULT"]
RETENTION_FAILED_DAYS = env["RETENTION_FAILED_DAYS"]
INSTANCE_RETENTION_DAYS = env["INSTANCE_RETENTION_DAYS"]
INTEGRATION_HISTORY_DAYS = env["INTEGRATION_HISTORY_DAYS"]
INTEGRATION_HISTORY_MOST = env["INTEGRATION_HISTORY_MOST"]
CREDENTIAL_HISTORY_DAYS = env["CREDENTIAL_HISTORY_DAYS"]
AUDIT_HISTORY_DAYS = env["AUDIT_HISTORY_DAYS"]
MODEL_HISTORY_DAYS = env["MODEL_HISTORY_DAYS"]
WEBHOOK_HISTORY_DAYS = env["WEBHOOK_HISTORY_DAYS"]
WEBHOOK_HISTORY_MOST = env["WEBHOOK_HISTORY_MOST"]

# --- REST API ---

REQUESTS_PER_CALLER = env["REQUESTS_PER_CALLER"]
REQUESTS_PER_ADDRESS = env["REQUESTS_PER_ADDRESS"]
WAITS_PER_CALLER = env["WAITS_PER_CALLER"]
WAITS_PER_ADDRESS = env["WAITS_PER_ADDRESS"]
CONNECTIONS_PER_ADDRESS = env["CONNECTIONS_PER_ADDRESS"]
API_RATE_LIMIT = env["API_RATE_LIMIT"]
ANONYMOUS_API_ROLE = env["ANONYMOUS_API_ROLE"]
ANONYMOUS_API_NETWORKS = env["ANONYMOUS_API_NETWORKS"]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "core.api.authentication.ApiKeyAuthentication",
        "core.api.authentication.AdminSessionAuthentication",
        "core.api.authentication.AnonymousRoleAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["core.api.authentication.HasScope"],
    "DEFAULT_PARSER_CLASSES": ["core.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["core.api.rendering.PartlyRenderedJSON"],
    "DEFAULT_PAGINATION_CLASS": "core.api.pagination.PageNumberPagination",
    "DEFAULT_FILTER_BACKENDS": ["core.api.filters.StrictFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "core.api.openapi.HubSchema",
    "EXCEPTION_HANDLER": "core.api.errors.problem_response",
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "core.api.negotiation.AlwaysJSON",
    "UNAUTHENTICATED_USER": "core.api.caller.nobody",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Service Integration",
    "DESCRIPTION": "Register, discover, call and orchestrate services.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_URLCONF": "integration_site.api.urls",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_SETTINGS": {"persistAuthorization": True, "deepLinking": True},
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "SORT_OPERATIONS": True,
    "ENUM_NAME_OVERRIDES": {
        "ServiceTypeEnum": "registry.models.ServiceType",
        "ServiceStatusEnum": "registry.models.ServiceStatus",
        "CredentialTypeEnum": "registry.models.CredentialType",
        "CredentialStateEnum": "registry.credentials.health.CredentialState",
        "HttpMethodEnum": "registry.models.HttpMethod",
        "IntegrationTypeEnum": "registry.models.IntegrationType",
        "IntegrationStatusEnum": "registry.models.IntegrationStatus",
        "IntegrationOutcomeEnum": "registry.models.IntegrationOutcome",
        "UnknownFieldsEnum": "core.unknown_fields.UnknownFields",
        "DeliveryOutcomeEnum": "workflows.models.DeliveryOutcome",
        "CircuitStateEnum": "registry.models.CircuitState",
        "EventKindEnum": "workflows.models.EventKind",
        "IncidentStatusEnum": "monitoring.models.IncidentStatus",
        "SeverityEnum": "monitoring.models.Severity",
        "ImpactEnum": "monitoring.models.Impact",
        "PageStatusEnum": "monitoring.models.PageStatus",
        "UpdateKindEnum": "monitoring.models.UpdateKind",
        "SuppressionEnum": "monitoring.models.Suppression",
        "WindowStatusEnum": "monitoring.models.WindowStatus",
        "ChannelTypeEnum": "monitoring.models.ChannelType",
        "DeliveryStateEnum": "monitoring.models.DeliveryState",
        "DeliveryReasonEnum": "monitoring.models.DeliveryReason",
        "CheckKindEnum": "monitoring.models.CheckKind",
        "SloKindEnum": "monitoring.models.SloKind",
        "DependencyKindEnum": "monitoring.models.DependencyKind",
        "CheckStatusEnum": "monitoring.models.CheckStatus",
        "CheckOutcomeEnum": "monitoring.models.CheckOutcome",
        "CheckErrorKindEnum": "monitoring.models.CheckErrorKind",
        "KeyStateEnum": "core.models.KeyState",
        "ConnectionTypeEnum": "registry.models.ConnectionType",
        "ConnectionDriverEnum": "registry.models.ConnectionDriver",
        "ConnectionStatusEnum": "registry.models.ConnectionStatus",
        "ModelStatusEnum": "model_orchestration.models.ModelStatus",
        "ModelRequestStateEnum": "model_orchestration.models.RequestState",
        "ModelRequestTypeEnum": "model_orchestration.models.RequestType",
        "WorkflowTypeEnum": "workflows.models.WorkflowType",
        "WorkflowStatusEnum": "workflows.models.WorkflowStatus",
        "ExecutionStatusEnum": "workflows.models.ExecutionStatus",
        "StepStatusEnum": "workflows.models.StepStatus",
    },
}

# --- Limits ---

METADATA_MAX_BYTES = env["METADATA_MAX_BYTES"]
TAGS_MAX = env["TAGS_MAX"]
INSTANCES_PER_SERVICE = env["INSTANCES_PER_SERVICE"]
SERVICES_PER_OWNER = env["SERVICES_PER_OWNER"]
REGISTRATION_POLICY = env["REGISTRATION_POLICY"] or ("KEYED" if IN_PRODUCTION else "OPEN")
SIGNALS_PER_EXECUTION = env["SIGNALS_PER_EXECUTION"]
EVENTS_PER_EXECUTION = env["EVENTS_PER_EXECUTION"]

# --- Security ---

TRUSTED_PROXIES = env["TRUSTED_PROXIES"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")
CSRF_FAILURE_VIEW = "integration_site.console.error_pages.csrf_failure"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if IN_PRODUCTION:
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_SSL_REDIRECT = env["SECURE_SSL_REDIRECT"]
    # Probes of the platform speak plain HTTP to the container.
    SECURE_REDIRECT_EXEMPT = [r"^(api/)?((health/)?(alive|ready)|health/(liveness|readiness))/?$"]
    SECURE_HSTS_SECONDS = env["SECURE_HSTS_SECONDS"]
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True
# What secrets are wrapped with: key_id:base64 of 32 bytes, by commas, the current key first.
CREDENTIAL_KEYS = env["CREDENTIAL_KEYS"] or ""
DEFAULT_EXCEPTION_REPORTER_FILTER = "integration_site.exception_filter.SecretKeepingFilter"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

# --- Language, time, files ---

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
FORMAT_MODULE_PATH = "integration_site.console.formats"
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
STATICFILES_DIRS = [BASE_DIR / "integration_site" / "console" / "static"]

# --- Logs ---

# Where people reach the hub: messages link there.
LOCAL_URL = f"http://{SERVICE_HOST}:{SERVICE_PORT}"
PUBLIC_URL = env["PUBLIC_URL"] or ("" if IN_PRODUCTION else LOCAL_URL)
MONITORING_CANARIES = env["MONITORING_CANARIES"] or []
MONITORING_HEARTBEAT_URL = env["MONITORING_HEARTBEAT_URL"]
EMAIL_HOST = env["EMAIL_HOST"]
EMAIL_PORT = env["EMAIL_PORT"]
EMAIL_HOST_USER = env["EMAIL_USERNAME"]
EMAIL_HOST_PASSWORD = env["EMAIL_PASSWORD"]
EMAIL_USE_TLS = env["EMAIL_TLS"] == "starttls"
EMAIL_USE_SSL = env["EMAIL_TLS"] == "tls"
DEFAULT_FROM_EMAIL = env["EMAIL_FROM"]

LOG_LEVEL = env["LOG_LEVEL"]
LOG_FORMAT = env["LOG_FORMAT"] or ("json" if IN_PRODUCTION else "console")
LOGGING = logging_settings(LOG_LEVEL, LOG_FORMAT)
configure_structlog()

# --- Console ---

UNFOLD = {
    "SITE_TITLE": "Service Integration",
    "SITE_HEADER": "Service Integration",
    "SITE_SUBHEADER": SERVICE_NAME,
    "SITE_SYMBOL": "hub",
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "integration_site.console.dashboard.dashboard_callback",
    "STYLES": [lambda request: static("console/console.css")],
    "SCRIPTS": [
        lambda request: static("console/console.js"),
        lambda request: static("console/live.js"),
        lambda request: static("console/access.js"),
    ],
    # The console is the site: there is nothing else to view or to return to.
    "SITE_URL": None,
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("console/favicon.svg"),
        }
    ],
    "SIDEBAR": {"navigation": "integration_site.console.navigation.sidebar"},
}
