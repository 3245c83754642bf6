"""Resolves connections that are called over HTTP."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from core.db.models import find_bound
from core.exceptions import SchemaViolation
from core.json.schema import Schema
from core.suggestions import no_such_row
from registry.calls.auth.loaded_credential import load_credential
from registry.calls.targets.connection_action import is_request_path
from registry.calls.targets.resolver import CONNECT_SECONDS, Endpoint, HttpOptions, ResolvedAction
from registry.exceptions import (
    ConnectionDisabledError,
    ConnectionNotFoundError,
    ConnectionTypeError,
    ServiceResponseError,
)
from registry.models import Connection, ConnectionDriver, ConnectionType, HttpMethod
from registry.policies.circuit_profile import profile_of
from registry.policies.rate_limits import limits_of


def resolve_connection(reference: str, key: str = "") -> ResolvedAction:
    """Return a connection of that id or name, ready to be called; `with_action` says what of it.

    With `key`, the one of that id if there is one, whatever its name.

    Raises:
        ConnectionNotFoundError: there is none.
        ConnectionDisabledError: an operator switched it off.
        ConnectionTypeError: it is none that speaks HTTP.
    """
    connection = find_bound(Connection.objects.select_related("credential"), reference, key=key)
    if connection is None:
        raise ConnectionNotFoundError(no_such_row(Connection.objects, reference))
    refuse_disabled(connection)
    if connection.driver != ConnectionDriver.HTTP:
        raise ConnectionTypeError(
            f"The connection '{connection.name}' is a {connection.type}; only HTTP, GRAPHQL and"
            " WEBHOOK connections are called.",
            service=connection.name,
        )
    return resolved_connection(connection)


def refuse_disabled(connection: Connection) -> None:
    """Raises: ConnectionDisabledError: with who switched it off and why."""
    if connection.is_disabled:
        operator = connection.disabled_by or "An operator"
        raise ConnectionDisabledError(
            f"The connection '{connection.name}' is switched off. {operator} said why:"
            f" {connection.disabled_reason}",
            service=connection.name,
        )


def resolved_connection(connection: Connection) -> ResolvedAction:
    """Return what calls need of a connection, whether or not it may be called now."""
    config = connection.config
    return ResolvedAction(
        service=connection.name,
        action="",
        method=HttpMethod.POST,
        path="",
        input_schema=Schema({}),
        output_schema=Schema({}),
        timeout_seconds=config.get("timeout_seconds"),
        idempotent=False,
        endpoints=(
            Endpoint(
                id=str(connection.pk),
                url=connection.base_url,
                status="ONLINE",
                weight=100,
                profile=profile_of(connection.criticality, connection.breaker),
            ),
        ),
        credential=load_credential(connection.credential) if connection.credential else None,
        subject_id=str(connection.pk),
        limits=limits_of(connection.limits),
        http=_http_options(connection.type, config),
        audit_name=f"connection {connection.name}",
        kind="connection",
    )


def _http_options(kind: str, config: Mapping[str, Any]) -> HttpOptions:
    takes_text = kind != ConnectionType.GRAPHQL
    return HttpOptions(
        headers=config.get("headers") or {},
        connect_seconds=config.get("connect_timeout_seconds") or CONNECT_SECONDS,
        read_seconds=config.get("read_timeout_seconds"),
        ca_bundle=config.get("ca_bundle", ""),
        tls=trusting_context(config["ca_bundle"]) if config.get("ca_bundle") else None,
        accepts="application/json, */*;q=0.5" if takes_text else "application/json",
        takes_text=takes_text,
    )


@lru_cache(maxsize=64)
def trusting_context(ca_bundle: str) -> ssl.SSLContext:
    """Return TLS that trusts only these; the same for all, so that connections are shared."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ca_bundle)
    return context


def with_action(connection: ResolvedAction, *, method: str, path: str) -> ResolvedAction:
    """Return a connection with the method and path that are called.

    Raises:
        SchemaViolation: the method or the path is none.
    """
    problem = {}
    if method not in HttpMethod.values:
        problem = {"method": [f"Use one of: {', '.join(HttpMethod.values)}."]}
    elif not is_request_path(path):
        problem = {"path": ["Must be empty or begin with /, without blanks, query or fragment."]}
    if problem:
        name, sentences = next(iter(problem.items()))
        raise SchemaViolation(f"{name}: {sentences[0]}", errors=problem, service=connection.service)
    return replace(connection, method=method, path=path, action=f"{method} {path or '/'}")


def check_graphql_errors(action: ResolvedAction, output: Any) -> None:
    """Refuse an answer of GraphQL that has errors and no data (specification, section 7.1).

    Raises:
        ServiceResponseError: with the first of its errors.
    """
    if not isinstance(output, dict) or not output.get("errors") or output.get("data") is not None:
        return
    errors = output["errors"]
    first = errors[0] if isinstance(errors, list) and errors else errors
    message = first.get("message") if isinstance(first, dict) else first
    raise ServiceResponseError(
        f"'{action.service}' answered an error of GraphQL: {str(message)[:500]}",
        service=action.service,
        action=action.action,
    )
