"""The types of connections: their addresses, their drivers and their settings (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.exceptions import ValidationFailed
from registry.connections import config_checks
from registry.credentials.config_checks import choice
from registry.models import ConnectionDriver, ConnectionType, CredentialType
from registry.policies.type_parts import Part, check_parts

URL_FIELDS = ("base_url",)
HOST_FIELDS = ("host", "port", "database", "username")
ADDRESS_FIELDS = (*URL_FIELDS, *HOST_FIELDS)
# Of every type.
PLAIN_FIELDS = (
    "name", "description", "criticality", "breaker", "limits", "check_interval_seconds",
)  # fmt: skip
PORTS: Mapping[str, int] = {
    ConnectionDriver.POSTGRESQL: 5432,
    ConnectionDriver.MYSQL: 3306,
    ConnectionDriver.AMQP: 5672,
    ConnectionDriver.REDIS: 6379,
}
AMQP_TLS_PORT = 5671
DEFAULT_CONNECT_SECONDS = 5.0
DEFAULT_TEST_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class ConnectionTypeSpec:
    """A type's drivers, the first of them unless told otherwise, its columns and its settings.

    `credentials` are the types that it can be reached with.
    """

    drivers: tuple[str, ...]
    columns: tuple[str, ...]
    parts: tuple[Part, ...]
    credentials: tuple[str, ...] = tuple(CredentialType.values)


_CONNECT = Part(
    "connect_timeout_seconds",
    "Connect timeout",
    config_checks.seconds(0.1, 60),
    f"Seconds for the connection alone: {DEFAULT_CONNECT_SECONDS:g} unless told otherwise.",
)
_TOTAL = Part(
    "timeout_seconds",
    "Timeout",
    config_checks.seconds(0.1, 3600),
    "Seconds for everything, up to the last byte. Empty: that of the hub.",
)
_AUTHORITIES = Part(
    "ca_bundle",
    "Authorities",
    config_checks.authorities,
    "PEM of who signs the server's certificate. Empty: those of the system.",
    long=True,
)
_HTTP = (
    _CONNECT,
    Part(
        "read_timeout_seconds",
        "Read timeout",
        config_checks.seconds(0.1, 3600),
        "Seconds between one piece of the answer and the next.",
    ),
    _TOTAL,
    Part(
        "headers",
        "Headers",
        config_checks.headers,
        'Sent with every call, as JSON: {"Accept-Language": "en"}. Secrets belong into a'
        " credential.",
        long=True,
    ),
    _AUTHORITIES,
)
# What a receiver of webhooks answers to a request that delivers nothing, where it is not there or
# lets nobody in; most answer it otherwise than with 2XX.
WEBHOOK_REFUSES = (401, 403, 404, 407, 410)


def _expected(empty: str) -> Part:
    return Part(
        "expected_status",
        "Expected status",
        config_checks.statuses,
        f"What the test takes for well, by commas. Empty: {empty}.",
    )


def _listed(numbers: tuple[int, ...]) -> str:
    return f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


_SERVER = (
    _CONNECT,
    Part(
        "timeout_seconds",
        "Timeout",
        config_checks.seconds(0.1, 60),
        f"Seconds for the whole test: {DEFAULT_TEST_SECONDS:g} unless told otherwise.",
    ),
    Part("tls", "TLS", config_checks.flag, "Encrypted, and the server's certificate checked."),
    _AUTHORITIES,
)
# A password, or a certificate shown in the TLS handshake.
_LOGINS = (CredentialType.BASIC_AUTH, CredentialType.CLIENT_CERTIFICATE)
_METHODS = ("GET", "HEAD", "OPTIONS", "POST")

TYPE_SPECS: Mapping[str, ConnectionTypeSpec] = {
    ConnectionType.HTTP: ConnectionTypeSpec(
        (ConnectionDriver.HTTP,),
        URL_FIELDS,
        (
            *_HTTP,
            Part(
                "test_path",
                "Test path",
                config_checks.path,
                "What the test asks for, such as /health. Empty: the base URL itself.",
            ),
            Part(
                "test_method",
                "Test method",
                lambda value: choice("get", "head", "options")(value).upper(),
                "GET unless told otherwise.",
                choices=_METHODS[:3],
            ),
            _expected("200 to 299"),
        ),
    ),
    ConnectionType.GRAPHQL: ConnectionTypeSpec(
        (ConnectionDriver.HTTP,),
        URL_FIELDS,
        (
            *_HTTP,
            Part(
                "test_query",
                "Test query",
                config_checks.query,
                "What the test asks: { __typename } unless told otherwise.",
                long=True,
            ),
        ),
    ),
    ConnectionType.WEBHOOK: ConnectionTypeSpec(
        (ConnectionDriver.HTTP,),
        URL_FIELDS,
        (
            *_HTTP,
            Part(
                "test_method",
                "Test method",
                lambda value: choice("get", "head", "options", "post")(value).upper(),
                "HEAD unless told otherwise, so that nothing is delivered. POST delivers the test"
                " body each time.",
                choices=_METHODS,
            ),
            Part(
                "test_body",
                "Test body",
                config_checks.document,
                "What a test by POST delivers, as JSON.",
                long=True,
            ),
            _expected(f"below 500 but {_listed(WEBHOOK_REFUSES)}; of a test by POST, 200 to 299"),
        ),
    ),
    ConnectionType.DATABASE: ConnectionTypeSpec(
        (ConnectionDriver.POSTGRESQL, ConnectionDriver.MYSQL),
        HOST_FIELDS,
        _SERVER,
        _LOGINS,
    ),
    ConnectionType.MESSAGE_BROKER: ConnectionTypeSpec(
        (ConnectionDriver.AMQP, ConnectionDriver.REDIS),
        HOST_FIELDS,
        (
            *_SERVER,
            Part(
                "vhost",
                "Virtual host",
                config_checks.word(255),
                "Of AMQP: / unless told otherwise.",
            ),
            Part(
                "queue",
                "Queue",
                config_checks.word(255),
                "Of AMQP: a queue that the test looks for. Empty: one is made and removed.",
            ),
        ),
        _LOGINS,
    ),
    ConnectionType.CACHE: ConnectionTypeSpec(
        (ConnectionDriver.REDIS,),
        HOST_FIELDS,
        _SERVER,
        _LOGINS,
    ),
}


def check_driver(type: str, driver: str) -> str:
    """Return the driver of a connection of that type; the usual one where none is given.

    Raises:
        ValueError: the type is not spoken to that way.
    """
    drivers = TYPE_SPECS[type].drivers
    if not driver:
        return str(drivers[0])
    driver = ConnectionDriver.parse(driver).value
    if driver not in drivers:
        raise ValueError(f"A {type} connection takes: {', '.join(drivers)}.")
    return driver


def check_config(type: str, driver: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a connection as they are kept: what is empty is left out.

    Raises:
        ValidationFailed: by paths such as `config.timeout_seconds`.
    """
    errors: dict[str, list[str]] = {}
    parts = parts_of(type, driver)
    empty: tuple[Any, ...] = (None, "", [], {})
    kept = check_parts(parts, values, "config", errors, noun="setting", empty=empty)
    if "test_body" in kept and kept.get("test_method") != "POST":
        errors["config.test_body"] = ["Only a test by POST has a body: set test_method to POST."]
    if errors:
        raise ValidationFailed.by_path(errors)
    return kept


def parts_of(type: str, driver: str) -> tuple[Part, ...]:
    """Return the settings of a connection of that type and driver."""
    amqp_only = ("vhost", "queue")
    parts = TYPE_SPECS[type].parts
    if driver == ConnectionDriver.AMQP:
        return parts
    return tuple(part for part in parts if part.name not in amqp_only)


def default_port(driver: str, config: Mapping[str, Any]) -> int | None:
    """Return the port where none is given; None for what has a URL."""
    if driver == ConnectionDriver.AMQP and config.get("tls"):
        return AMQP_TLS_PORT
    return PORTS.get(driver)
