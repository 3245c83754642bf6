"""Credentials are made, changed, rotated and deleted; each leaves an entry in the audit trail."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import ProtectedError
from django.utils import timezone

from core.db.locking import columns_of, lock_row, save_if_changed, unique_name
from core.db.validation import check_columns
from core.exceptions import Conflict, ValidationFailed, VaultError
from core.json.equality import json_equal
from core.json.merge_patch import resolved
from registry.credentials import type_specs
from registry.credentials.audit import record
from registry.credentials.origins import parse_origin
from registry.credentials.references import title_of, users_of
from registry.credentials.sealing import hold_secret, open_secret
from registry.discovery.change_log import record_change
from registry.models import (
    Credential,
    CredentialEventKind,
    CredentialToken,
    CredentialType,
    RegistryChangeKind,
)

MOST_ORIGINS = 50
MOST_NAMED = 5
_SIMPLE = ("name", "description", "expires_at")
_OF_ROTATION = ("secret", "attributes", "expires_at")


def get_credential(reference: str) -> Credential:
    """Return the credential of that id or name.

    Raises:
        NotFound: there is none.
    """
    return Credential.objects.get_named(reference)


def create_credential(fields: Mapping[str, Any], *, actor: str) -> Credential:
    """Make a credential. With `draft` it needs no `secret` yet: it can be linked, and is refused
    when it is to be used.

    Raises:
        ValidationFailed: a field breaks a rule, or the secret is missing.
        Conflict: the name is taken.
        VaultError: there is no key to seal the secret with.
    """
    credential = Credential(name=fields.get("name", ""), type=fields.get("type", ""))
    check_secret_given(fields)
    with unique_name(credential, fields), transaction.atomic():
        _store(credential, fields)
        record(credential, CredentialEventKind.CREATED, actor=actor, detail=credential.type)
    return credential


def update_credential(
    credential: Credential, fields: Mapping[str, Any], *, actor: str, if_unchanged: bool = False
) -> Credential:
    """Change what is given and leave the rest; a given secret replaces the old one.

    Raises:
        ValidationFailed: a field breaks a rule; or the old secret would go where it was not meant
            to, which takes giving it again.
        Conflict: the name is taken.
        PreconditionFailed: with `if_unchanged`, the row was changed since.
        VaultError: there is no key to seal the secret with.
    """
    with unique_name(credential, fields), transaction.atomic():
        locked = lock_row(credential, if_unchanged=if_unchanged)
        before = {
            name: getattr(locked, name) for name in (*_SIMPLE, "attributes", "allowed_origins")
        }
        rotates = bool(fields.get("secret"))
        _check_type(locked, fields)
        _check_new_end(locked, fields)
        _store(locked, fields)
        changed = [n for n, value in before.items() if not json_equal(getattr(locked, n), value)]
        if rotates:
            record(locked, CredentialEventKind.ROTATED, actor=actor)
        if changed:
            record(
                locked,
                CredentialEventKind.CHANGED,
                actor=actor,
                detail=", ".join(changed),
                changes={name: [before[name], getattr(locked, name)] for name in changed},
            )
        for service in locked.services.all():
            record_change(service, RegistryChangeKind.UPDATED)  # its calls carry something else
    return locked


def rotate_credential(
    credential: Credential, fields: Mapping[str, Any], *, actor: str
) -> Credential:
    """Replace the secret, and with it, if given, `expires_at` and `attributes`.

    Raises:
        ValidationFailed: the secret is missing or breaks a rule.
        VaultError: there is no key to seal the secret with.
    """
    if not fields.get("secret"):
        raise ValidationFailed.at("secret", "This is needed.")
    rotated = {name: fields[name] for name in _OF_ROTATION if name in fields}
    return update_credential(credential, rotated, actor=actor)


def delete_credential(credential: Credential, *, actor: str, if_unchanged: bool = False) -> None:
    """Forget a credential; its audit trail stays.

    Raises:
        Conflict: something uses it.
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    with transaction.atomic():
        locked = lock_row(credential, if_unchanged=if_unchanged)
        names = [title_of(user) for user in users_of(locked, most=MOST_NAMED)][:MOST_NAMED]
        if names:
            raise _in_use(locked, names)
        record(locked, CredentialEventKind.DELETED, actor=actor)
        try:
            locked.delete()
        except ProtectedError as error:
            # Linked meanwhile.
            names = sorted(title_of(row) for row in error.protected_objects)[:MOST_NAMED]
            raise _in_use(locked, names) from None


def _in_use(credential: Credential, names: list[str]) -> Conflict:
    return Conflict(
        f"The credential '{credential.name}' is used by {', '.join(names)}. Unlink it first."
    )


# --- What is given ---


def check_secret_given(fields: Mapping[str, Any]) -> None:
    """Refuse a new credential without its secret, unless it is to be a draft.

    Raises:
        ValidationFailed: with what the type takes.
    """
    if fields.get("secret") or fields.get("draft"):
        return
    kind = type_specs.TYPE_SPECS[CredentialType.parse(fields.get("type"))]
    parts = [part.name for part in kind.secrets if part.required] or ["the headers"]
    raise ValidationFailed.at(
        "secret",
        f"The type {fields['type']} needs a secret ({', '.join(parts)}): without it every call"
        " that is to carry it is refused. To store it now and set the secret later, make it a"
        " draft.",
    )


def check_fields(credential: Credential, fields: Mapping[str, Any]) -> None:
    """Hold what would be given against every rule, on a copy: nothing is stored.

    Raises:
        ValidationFailed: a field breaks a rule.
        VaultError: there is no key to seal the secret with.
    """
    draft = copy.copy(credential)
    if not draft._state.adding:
        _check_type(draft, fields)
        _check_new_end(draft, fields)
    _assign(draft, fields)


def _store(credential: Credential, fields: Mapping[str, Any]) -> None:
    before = None if credential._state.adding else columns_of(credential)
    if _assign(credential, fields):
        # What was fetched with what is no longer true.
        CredentialToken.objects.filter(credential=credential.pk).delete()
    save_if_changed(credential, before)


def _assign(credential: Credential, fields: Mapping[str, Any]) -> bool:
    """Put what is given into the row and hold it against the rules.

    True when what is sent, or whither, is another now.
    """
    reached = type_specs.destinations(
        credential.type, credential.attributes, credential.allowed_origins
    )
    before = (credential.attributes, credential.allowed_origins)
    ended_at = credential.expires_at
    for name in _SIMPLE:
        if name in fields:
            setattr(credential, name, fields[name])
    check_columns(credential, exclude=("attributes", "allowed_origins"))
    if "allowed_origins" in fields:
        credential.allowed_origins = _read_origins(fields["allowed_origins"])
    _assign_parts(credential, fields)
    added = (
        type_specs.destinations(credential.type, credential.attributes, credential.allowed_origins)
        - reached
    )
    secret = fields.get("secret")
    if added and credential.has_secret and not secret:
        raise ValidationFailed.at(
            "secret",
            f"Give the secret again: it would now be sent to {', '.join(sorted(added)[:3])}.",
        )
    if credential.expires_at != ended_at:
        credential.warned_days = None
    is_new = credential._state.adding
    now = (credential.attributes, credential.allowed_origins)
    changes = bool(secret) or not json_equal(before, now)
    if is_new or not changes:
        return False
    credential.version += 1
    return True


def _assign_parts(credential: Credential, fields: Mapping[str, Any]) -> None:
    """Put the attributes and the secret into the row, checked together."""
    is_new = credential._state.adding
    values = dict(resolved(credential, fields).get("attributes", credential.attributes))
    is_headers = type_specs.TYPE_SPECS[credential.type].headers
    names = credential.attributes.get("headers", []) if is_headers else []
    if is_headers and values.get("headers") == names:
        del values["headers"]  # told with the secret, and no part of what is given
    attributes = type_specs.check_attributes(credential.type, values)
    is_other = not json_equal(attributes, credential.attributes)
    secret = fields.get("secret")
    if secret:
        held = type_specs.check_secret(credential.type, secret, attributes)
        hold_secret(credential, held)
        credential.rotated_at = None if is_new else timezone.now()
        names = sorted(held) if is_headers else []
    elif credential.has_secret and not is_headers and is_other:
        _check_with_held(credential, attributes)
    ends_at = type_specs.natural_expiry(credential.type, attributes)
    if ends_at is not None and is_other and not fields.get("expires_at"):
        credential.expires_at = ends_at
    credential.attributes = {**attributes, "headers": names} if is_headers else attributes


def _check_with_held(credential: Credential, attributes: Mapping[str, Any]) -> None:
    try:
        held = open_secret(credential)
    except VaultError:
        return  # it has to be set again anyway
    type_specs.check_together(credential.type, attributes, held)


def _check_type(credential: Credential, fields: Mapping[str, Any]) -> None:
    if fields.get("type") not in (None, credential.type):
        raise ValidationFailed.at(
            "type", f"It stays {credential.type}. Make another credential for another type."
        )


def _check_new_end(credential: Credential, fields: Mapping[str, Any]) -> None:
    """Refuse to let the end of the old secret quietly become that of the new one."""
    if not fields.get("secret") or credential.expires_at is None or "expires_at" in fields:
        return
    if credential.type == CredentialType.CLIENT_CERTIFICATE:
        return
    raise ValidationFailed.at(
        "expires_at",
        f"The old secret ends on {credential.expires_at:%Y-%m-%d}. Say when the new one does, or"
        " null if it does not.",
    )


def _read_origins(texts: Any) -> list[str]:
    if not isinstance(texts, list) or len(texts) > MOST_ORIGINS:
        raise ValidationFailed.at(
            "allowed_origins", f"Must be a list of at most {MOST_ORIGINS} origins."
        )
    origins = []
    for position, text in enumerate(texts):
        try:
            origins.append(parse_origin(text))
        except ValueError as error:
            raise ValidationFailed.at(f"allowed_origins[{position}]", str(error)) from None
    return sorted(set(origins))
