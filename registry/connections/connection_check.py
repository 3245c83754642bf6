"""Testing a connection: what was tried, how long it took, what it answered, what to do."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from registry.calls.auth.loaded_credential import LoadedCredential, load_credential
from registry.calls.auth.signing import check_usable, secrets_of
from registry.calls.blocking_client import on_shared_loop
from registry.calls.redaction import NO_MASK, Mask
from registry.calls.targets.connection_targets import check_graphql_errors, resolved_connection
from registry.connections.address_checks import origin_of_server
from registry.connections.drivers import CheckFailure, ServerAddress, ServerSession, check_server
from registry.connections.drivers.error_mapping import to_check_failure
from registry.connections.troubleshooting import advice_for, advice_for_status
from registry.connections.type_specs import (
    DEFAULT_CONNECT_SECONDS,
    DEFAULT_TEST_SECONDS,
    WEBHOOK_REFUSES,
)
from registry.credentials.audit import CredentialUse, record_uses
from registry.exceptions import (
    AddressRefusedError,
    CallError,
    CredentialError,
    ServiceConnectionError,
    ServiceNotReachedError,
    ServiceTimeoutError,
)
from registry.models import (
    Connection,
    ConnectionDriver,
    ConnectionType,
    CredentialEventKind,
    CredentialType,
)

LONGEST_ANSWER = 500
# Beyond what the driver itself takes: a resolver of names may hang longer than any socket.
GRACE_SECONDS = 2.0
DEFAULT_QUERY = "{ __typename }"
# What a HEAD tells of a webhook that takes only POST: it is there, and lets us in.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]+")
_threads = ThreadPoolExecutor(16, "connection-test")


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a test; `took_ms` is None where nothing was tried, `slow` is just well."""

    tried: str
    success: bool
    answered: str
    advice: str = ""
    took_ms: float | None = None
    slow: bool = False


def try_connection(connection: Connection, *, actor: str) -> CheckResult:
    """Ask what a connection leads to, past its circuit breaker, limits and kill switch.

    Nothing is recorded but the use of its credential. It ends within the connection's timeout.
    """
    started = time.perf_counter()
    is_http = connection.driver == ConnectionDriver.HTTP
    trial = (_try_http if is_http else _try_server)(connection, actor)
    took = time.perf_counter() - started
    slow = trial.success and took > _seconds_of(connection) / 2
    if slow:
        advice = "It answered, but took more than half of its timeout. Look at its load."
        trial = replace(trial, advice=advice, slow=True)
    return replace(trial, took_ms=round(took * 1000, 1))


def _seconds_of(connection: Connection) -> float:
    return float(connection.config.get("timeout_seconds") or DEFAULT_TEST_SECONDS)


# --- HTTP, GraphQL, webhooks ---


def _try_http(connection: Connection, actor: str) -> CheckResult:
    method, path, document = _request_of(connection)
    tried = f"{method} {connection.base_url.rstrip('/')}{path}"
    seconds = _seconds_of(connection)
    resolved = replace(
        resolved_connection(connection),
        method=method,
        path=path,
        action=f"{method} {path or '/'}",
        timeout_seconds=min(seconds, 60.0),
    )
    try:
        status, output = on_shared_loop(
            lambda client: client.test_connection(resolved, document, actor=actor)
        ).result()
        if connection.type == ConnectionType.GRAPHQL:
            check_graphql_errors(resolved, output)
            if not isinstance(output, dict) or "data" not in output:
                return _failed(tried, "graphql", f"{status}, but no answer of GraphQL.")
    except CallError as error:
        return _http_failure(connection, tried, error)
    if not is_expected(connection, status):
        return CheckResult(tried, False, f"{status}.", advice_for_status(status))
    return CheckResult(
        tried, True, _shorten(f"{status}: {json.dumps(output)}" if output else f"{status}.")
    )


def _request_of(connection: Connection) -> tuple[str, str, Mapping[str, Any]]:
    config = connection.config
    if connection.type == ConnectionType.GRAPHQL:
        return "POST", "", {"query": config.get("test_query") or DEFAULT_QUERY}
    if connection.type == ConnectionType.WEBHOOK:
        return config.get("test_method", "HEAD"), "", config.get("test_body") or {}
    return config.get("test_method", "GET"), config.get("test_path", ""), {}


def is_expected(connection: Connection, status: int) -> bool:
    """Return whether a test takes a status for well, as the help of `expected_status` says."""
    expected = connection.config.get("expected_status")
    if expected:
        return status in expected
    if connection.type == ConnectionType.WEBHOOK and _request_of(connection)[0] != "POST":
        return status < 500 and status not in WEBHOOK_REFUSES
    return 200 <= status < 300


def _http_failure(connection: Connection, tried: str, error: CallError) -> CheckResult:
    status = error.upstream_status
    if status is not None and not 200 <= status < 300:
        if is_expected(connection, status):
            return CheckResult(tried, True, f"{status}.")
        return CheckResult(tried, False, _shorten(error.message), advice_for_status(status))
    return _failed(tried, _kind_of(connection, error), error.message)


def _kind_of(connection: Connection, error: CallError) -> str:
    text = error.message.lower()
    if isinstance(error, AddressRefusedError):
        return "address"
    if isinstance(error, CredentialError):
        return "credential"
    if isinstance(error, ServiceTimeoutError):
        return "timeout"
    if isinstance(error, ServiceNotReachedError):
        words = {"certificate": "certificate", "name": "name", "within": "timeout"}
        return next((kind for word, kind in words.items() if word in text), "refused")
    if "certificate" in text or "ssl" in text:
        return "certificate"
    if isinstance(error, ServiceConnectionError):
        return "broken"
    return "graphql" if connection.type == ConnectionType.GRAPHQL else "answer"


# --- Databases, brokers, caches ---


@sensitive_variables()
def _try_server(connection: Connection, actor: str) -> CheckResult:
    tried = f"{connection.get_driver_display()} at {connection.host}:{connection.port}"
    loaded = load_credential(connection.credential) if connection.credential else None
    mask = NO_MASK
    try:
        if loaded is not None:
            _note(connection, loaded, actor)
            mask = Mask(secrets_of(loaded))
        return CheckResult(tried, True, mask.text(_shorten(_ask(connection, loaded))))
    except CredentialError as error:
        return _failed(tried, "credential", error.message)
    except CheckFailure as failure:
        return _failed(tried, failure.kind, mask.text(str(failure)))


@sensitive_variables()
def _ask(connection: Connection, loaded: LoadedCredential | None) -> str:
    """Ask in a thread of its own, and give up on it when its time is over.

    Raises:
        Failure: with the reason.
    """
    address = _address_of(connection, loaded)

    def work() -> str:
        with ServerSession(address) as session:
            return check_server(session, type=connection.type, driver=connection.driver)

    job = _threads.submit(work)
    try:
        return job.result(address.seconds + GRACE_SECONDS)
    except Exception as error:
        raise to_check_failure(error) from None


@sensitive_variables()
def _address_of(connection: Connection, loaded: LoadedCredential | None) -> ServerAddress:
    config = connection.config
    username, password, certificate = connection.username, None, None
    if loaded is not None and loaded.type == CredentialType.CLIENT_CERTIFICATE:
        certificate = loaded
    elif loaded is not None:
        username, password = loaded.attributes["username"], loaded.secret["password"]
    return ServerAddress(
        host=connection.host,
        port=connection.port or 0,
        database=connection.database,
        username=username,
        password=password,
        tls=bool(config.get("tls")) or certificate is not None,
        ca_bundle=config.get("ca_bundle", ""),
        certificate=certificate,
        vhost=config.get("vhost", "/"),
        queue=config.get("queue", ""),
        connect_seconds=float(config.get("connect_timeout_seconds") or DEFAULT_CONNECT_SECONDS),
        seconds=_seconds_of(connection),
    )


def _note(connection: Connection, loaded: LoadedCredential, actor: str) -> None:
    """Count the use, or the refusal, of a credential. Raises: CredentialError."""
    now = timezone.now()
    subject = f"connection {connection.name}"
    kind, detail = CredentialEventKind.USED, ""
    try:
        check_usable(loaded, origin_of_server(connection), now=now)
    except CredentialError as error:
        kind, detail = CredentialEventKind.DENIED, error.message
        raise
    finally:
        use = CredentialUse(loaded.id, loaded.name, kind, actor, subject, detail)
        record_uses(use, used_at=now)


# --- Answers ---


def _failed(tried: str, kind: str, answered: str) -> CheckResult:
    return CheckResult(tried, False, _shorten(answered), advice_for(kind))


def _shorten(text: str) -> str:
    """Return a text that every database takes and a page can show: a server may answer anything."""
    text = _UNPRINTABLE.sub(" ", text).strip()
    return text if len(text) <= LONGEST_ANSWER else f"{text[:LONGEST_ANSWER]}…"
