"""Checks the address of a connection, without asking anybody for a name."""

from __future__ import annotations

from django.core.exceptions import ValidationError

from core.addresses import BadAddress, normal_host
from registry.models import Connection, ConnectionDriver
from registry.models.address_fields import validate_called_url, validate_host


def check_address(row: Connection) -> tuple[str, str] | None:
    """Return what is wrong with the address of a connection: the field and a sentence."""
    if row.driver == ConnectionDriver.HTTP:
        name, check, example = "base_url", validate_called_url, "https://api.example.org/v1"
    else:
        name, check, example = "host", validate_host, "db.example.org"
    value = getattr(row, name)
    if not value:
        return name, f"This is needed: where it is, such as {example}."
    try:
        check(value)
    except ValidationError as error:
        return name, error.messages[0]
    return None


def origin_of_server(row: Connection) -> str:
    """Return the origin of what is reached by host and port, for the credential bound to it."""
    try:
        host = normal_host(row.host)
    except BadAddress:
        host = row.host
    shown = f"[{host}]" if ":" in host else host
    return f"{row.driver.lower()}://{shown}:{row.port}"
