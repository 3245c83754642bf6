"""Checks that the credential, the driver and the settings of a connection fit (pure)."""

from __future__ import annotations

from registry.connections.type_specs import TYPE_SPECS
from registry.models import Connection, ConnectionDriver, Credential, CredentialType


def check_login(row: Connection) -> tuple[str, str] | None:
    """Return what is wrong with how a connection shows who it is: the field and a sentence."""
    credential = row.credential
    if row.driver == ConnectionDriver.MYSQL and not _user_of(row):
        # PyMySQL would log in under the name of this process's own user.
        return "username", "This is needed, or a credential with a user name: who logs in."
    if credential is None:
        return None
    allowed = TYPE_SPECS[row.type].credentials
    if credential.type not in allowed:
        return "credential", (
            f"A {row.type} connection takes a credential of the type {', '.join(allowed)};"
            f" '{credential.name}' is {credential.type}."
        )
    if credential.type == CredentialType.CLIENT_CERTIFICATE:
        return _check_certificate(row, credential)
    if row.username and row.username != credential.attributes.get("username"):
        return "username", "Leave it out: the credential has a user name."
    return None


def _user_of(row: Connection) -> str:
    attributes = row.credential.attributes if row.credential else {}
    return row.username or str(attributes.get("username") or "")


def _check_certificate(row: Connection, credential: Credential) -> tuple[str, str] | None:
    """Check that a certificate is shown in a TLS handshake, as it can be nowhere else."""
    if row.driver == ConnectionDriver.HTTP:
        if row.base_url.lower().startswith("http://"):
            return "base_url", (
                f"It must begin with https: '{credential.name}' is a client certificate."
            )
        return None
    if not row.config.get("tls"):
        return "config.tls", (
            f"Set it to true: '{credential.name}' is a client certificate, and those are shown in"
            " TLS only."
        )
    if row.driver == ConnectionDriver.AMQP and row.username:
        return "username", "Leave it out: the broker takes the user from the certificate."
    return None
