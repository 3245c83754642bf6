"""Reads credentials, connections and integrations, whose columns nobody ever specified (pure).

What is known of these tables are their names. So each field is looked for under the names that are
usual for it, and what no field is made of stays where it is.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from core.db.names import fit_name
from integration_site.adoption.conversion.values import Cells, name_of
from registry.api.endpoints import action_name
from registry.models import ConnectionType, CredentialType
from registry.models.integration import IntegrationStatus, IntegrationType

Fields = dict[str, Any]
SECRET_COLUMNS = (
    "secret", "secret_value", "value", "api_key", "apikey", "key", "token", "access_token",
    "password", "client_secret", "private_key",
)  # fmt: skip
_URLS = ("base_url", "url", "endpoint", "address", "uri")
_USERS = ("username", "user_name", "login")
_CONFIGS = ("config", "configuration", "settings", "options")
# What a type needs beside its secret, and what its secret is called.
_SECRET_NAMES = {
    CredentialType.API_KEY: "key",
    CredentialType.BEARER_TOKEN: "token",
    CredentialType.BASIC_AUTH: "password",
    CredentialType.OAUTH2_CLIENT_CREDENTIALS: "client_secret",
    CredentialType.HMAC_SIGNATURE: "key",
    CredentialType.CLIENT_CERTIFICATE: "private_key",
}
_ATTRIBUTES = {
    CredentialType.API_KEY: ("header", "query_parameter"),
    CredentialType.BASIC_AUTH: ("username",),
    CredentialType.OAUTH2_CLIENT_CREDENTIALS: ("token_url", "client_id", "scopes", "audience"),
    CredentialType.HMAC_SIGNATURE: ("key_name", "algorithm"),
    CredentialType.CLIENT_CERTIFICATE: ("certificate", "ca"),
}
_TYPE_WORDS = {
    "BASIC": "BASIC_AUTH", "USERNAME_PASSWORD": "BASIC_AUTH", "PASSWORD": "BASIC_AUTH",
    "BEARER": "BEARER_TOKEN", "TOKEN": "BEARER_TOKEN", "JWT": "BEARER_TOKEN",
    "OAUTH": "OAUTH2_CLIENT_CREDENTIALS", "OAUTH2": "OAUTH2_CLIENT_CREDENTIALS",
    "HMAC": "HMAC_SIGNATURE", "CERTIFICATE": "CLIENT_CERTIFICATE", "APIKEY": "API_KEY",
    "REST": "HTTP", "API": "HTTP", "HTTPS": "HTTP", "SQL": "DATABASE", "QUEUE": "MESSAGE_BROKER",
    "REDIS": "CACHE", "SYNC": "DATA_SYNC",
}  # fmt: skip


def _first(cells: Cells, names: tuple[str, ...]) -> str:
    return next((text for name in names if (text := cells.text(name))), "")


def _config_of(cells: Cells) -> Fields:
    column = next((name for name in _CONFIGS if cells.row.get(name)), "")
    return cells.object(column) if column else {}


def _type_of(cells: Cells, columns: tuple[str, ...], values: list[str], default: str) -> str:
    column = next((name for name in columns if cells.row.get(name)), columns[0])
    text = cells.text(column)
    word = text.strip().upper().replace("-", "_").replace(" ", "_")
    word = word if word in values else _TYPE_WORDS.get(word, word)
    if word not in values:
        cells.notes.mended(column, f"'{text[:60]}' is no type of it; taken as {default}")
        return default
    if word != text.upper():
        cells.notes.mended(column, f"'{text[:60]}' is called {word}")
    return word


def secret_columns(cells: Cells) -> list[str]:
    """Return the columns of a credential that hold something secret."""
    return [name for name in SECRET_COLUMNS if cells.row.get(name)]


def credential_fields(cells: Cells) -> Fields:
    """Return what `create_credential` is given; without a secret it is a draft."""
    more = {**_config_of(cells), **(cells.object("metadata") if "metadata" in cells.row else {})}
    if "value" in cells.row and (cells.text("value")).startswith("{"):
        more |= cells.object("value")
    type_ = _type_of(
        cells, ("type", "credential_type", "auth_type"), CredentialType.values, "API_KEY"
    )
    wanted = _SECRET_NAMES.get(CredentialType(type_), "")
    secret = str(more.get(wanted) or "") or cells.text(wanted) or _first(cells, SECRET_COLUMNS)
    attributes = {
        name: value
        for name in _ATTRIBUTES.get(CredentialType(type_), ())
        if (value := cells.text(name) or more.get(name))
    }
    if type_ == CredentialType.BASIC_AUTH and "username" not in attributes:
        attributes["username"] = _first(cells, _USERS) or "unknown"
    fields: Fields = {
        "name": name_of(cells), "type": type_, "attributes": attributes,
        "description": cells.text("description", most=5000),
        "allowed_origins": _origins(_first(cells, _URLS)),
        "expires_at": cells.time("expires_at"),
    }  # fmt: skip
    if secret and wanted:
        return fields | {"secret": {wanted: secret}}
    return fields | {"draft": True}


def _origins(url: str) -> list[str]:
    parts = urlsplit(url)
    return [f"{parts.scheme}://{parts.netloc}"] if parts.scheme and parts.netloc else []


def connection_fields(cells: Cells, credentials: dict[str, str]) -> Fields:
    """Return what `create_connection` is given; `credentials` are names by earlier keys."""
    type_ = _type_of(cells, ("type", "connection_type"), ConnectionType.values, "HTTP")
    fields: Fields = {
        "name": name_of(cells), "type": type_,
        "description": cells.text("description", most=5000),
    }  # fmt: skip
    url = _first(cells, _URLS)
    if type_ in (ConnectionType.HTTP, ConnectionType.GRAPHQL, ConnectionType.WEBHOOK):
        fields["base_url"] = url
    else:
        fields |= _server_of(cells, url)
    reference = _first(cells, ("credential_id", "credential"))
    if reference in credentials:
        fields["credential"] = credentials[reference]
    elif reference:
        cells.notes.mended("credential_id", f"'{reference[:60]}' is no credential; left out")
    return fields


def _server_of(cells: Cells, url: str) -> Fields:
    parts = urlsplit(url if "://" in url else f"//{url}")
    port = cells.number("port") or parts.port
    database = _first(cells, ("database", "database_name", "db_name")) or parts.path.lstrip("/")
    return {
        "host": cells.text("host") or parts.hostname or "",
        "username": _first(cells, _USERS) or parts.username or "",
        **({"port": int(port)} if port else {}),
        **({"driver": parts.scheme} if parts.scheme else {}),
        **({"database": database} if database else {}),
    }


def integration_fields(cells: Cells, services: dict[str, str]) -> Fields:
    """Return what `create_integration` is given; `services` are names by earlier identifiers.

    Its target is an action of a service: that which its configuration names, or the one of its
    path.
    """
    config = _config_of(cells)
    source = _service_named(cells, "source_service_id", services)
    target = _service_named(cells, "target_service_id", services)
    path = str(config.get("endpoint") or config.get("path") or cells.text("endpoint") or "")
    method = str(config.get("method") or "POST")
    action = str(config.get("action") or (action_name(method, path) if path else ""))
    return {
        "name": name_of(cells),
        "type": _type_of(
            cells, ("integration_type", "type"), IntegrationType.values, IntegrationType.CUSTOM
        ),
        "status": cells.enum(
            "status", IntegrationStatus, IntegrationStatus.ACTIVE, may_lack=True
        ),
        "description": cells.text("description", most=5000),
        "source": source,
        "target": {"service": target, "action": action},
        "metadata": {**_metadata_of(cells), "earlier": _as_given(cells, config)},
    }  # fmt: skip


def _metadata_of(cells: Cells) -> dict[str, Any]:
    return cells.object("metadata") if cells.row.get("metadata") else {}


def _as_given(cells: Cells, config: dict[str, Any]) -> dict[str, Any]:
    """Return what an old call is answered of an integration, and the hub has no field for."""
    words = ("integration_type", "source_service_id", "target_service_id")
    given = {name: text for name in words if (text := cells.text(name))}
    if (name := cells.text("name")) != fit_name(name):
        given["name"] = name[:300]
    return given | ({"config": config} if config else {})


def _service_named(cells: Cells, column: str, services: dict[str, str]) -> str:
    reference = cells.text(column)
    if not reference or reference in services:
        return services.get(reference, "")
    cells.notes.mended(column, f"'{reference[:60]}' is no registered service")
    return ""
