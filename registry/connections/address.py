"""Where a connection may be: what can be told without asking anybody for a name."""

from __future__ import annotations

from ipaddress import ip_address

from django.core.exceptions import ValidationError
from yarl import URL

from registry.calls.dialling import get_policy, refusal_of
from registry.calls.policy import AddressRefused
from registry.models import Connection, ConnectionDriver
from registry.models.service import validate_service_url


def check_address(row: Connection) -> tuple[str, str] | None:
    """What is wrong with the address of a connection: the field and a sentence."""
    if row.driver == ConnectionDriver.HTTP:
        return _check_url(row.base_url)
    return _check_host(row.host)


def _check_url(url: str) -> tuple[str, str] | None:
    if not url:
        return "base_url", "This is needed: where it is, such as https://api.example.org/v1."
    try:
        validate_service_url(url)
        why = refusal_of(URL(url), get_policy())
    except ValidationError as error:
        why = error.messages[0]
    except ValueError:
        why = "The URL cannot be read."
    return ("base_url", why) if why else None


def _check_host(host: str) -> tuple[str, str] | None:
    if not host:
        return "host", "This is needed: a name or an address, such as db.example.org."
    try:
        get_policy().check_host(host)
    except AddressRefused as error:
        return "host", str(error)
    return None


def origin_of_server(row: Connection) -> str:
    """The origin of what is reached by host and port, for the credential that is bound to it."""
    try:
        shown = f"[{row.host}]" if ip_address(row.host).version == 6 else row.host
    except ValueError:
        shown = row.host
    return f"{row.driver.lower()}://{shown}:{row.port}"
