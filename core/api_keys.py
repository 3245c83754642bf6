"""API keys are issued, changed, revoked and deleted; nobody gives a key more than they may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from core import audit
from core.db.locking import columns_of, lock_row, save_if_changed, unique_name
from core.db.names import name_in
from core.db.validation import as_validation_failed
from core.exceptions import Conflict, NotFound, UseDenied, ValidationFailed
from core.identifiers import read_id
from core.models import ApiKey, AuditVerb
from core.name_patterns import beyond
from core.suggestions import no_such_row

# Who callers without a key are.
ANONYMOUS = "anonymous"


@dataclass(frozen=True)
class Grantable:
    """What a key may be given at most: scopes, and patterns of services that it may register."""

    scopes: frozenset[str]
    names: tuple[str, ...] = ("*",)
    types: tuple[str, ...] = ()


def get_key(reference: str) -> ApiKey:
    """Return the key of that id or name.

    Raises:
        NotFound: there is none.
    """
    key = read_id(reference)
    api_key = ApiKey.objects.filter(Q(pk=key) if key else Q(name=name_in(reference))).first()
    if api_key is None:
        raise NotFound(no_such_row(ApiKey.objects, reference))
    return api_key


def issue_key(fields: Mapping[str, Any], *, may_grant: Grantable) -> tuple[ApiKey, str]:
    """Store a new key and return it with its text, which can be shown this once.

    Raises:
        ValidationFailed: a field breaks a rule.
        Conflict: the name is taken.
        UseDenied: it could do more than `may_grant`.
    """
    key = ApiKey()
    text = key.issue_secret()
    with unique_name(key, fields), transaction.atomic():
        _assign(key, fields, may_grant=may_grant)
        key.save()
        audit.record(AuditVerb.CREATED, key, changes=_said_of(key))
    return key, text


def update_key(
    key: ApiKey, fields: Mapping[str, Any], *, may_grant: Grantable, if_unchanged: bool = False
) -> ApiKey:
    """Change what is given and leave the rest; the secret stays.

    Raises:
        As of `issue_key`; and
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    with unique_name(key, fields), transaction.atomic():
        locked = lock_row(key, if_unchanged=if_unchanged)
        before, columns = audit.snapshot(locked), columns_of(locked)
        _assign(locked, fields, may_grant=may_grant)
        save_if_changed(locked, columns)
        audit.record_changes(locked, before)
    return locked


def revoke_key(key: ApiKey) -> ApiKey:
    """Refuse the key from now on.

    Raises:
        Conflict: it is revoked already.
    """
    with transaction.atomic():
        locked = lock_row(key)
        if locked.revoked_at is not None:
            raise Conflict("It is revoked already.")
        locked.revoked_at = timezone.now()
        locked.save(update_fields=("revoked_at", "updated_at"))
        audit.record(AuditVerb.REVOKED, locked)
    return locked


def delete_key(key: ApiKey, *, if_unchanged: bool = False) -> None:
    """Forget a key, which refuses it too; its name may be used again.

    Raises:
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    with transaction.atomic():
        locked = lock_row(key, if_unchanged=if_unchanged)
        audit.record(AuditVerb.DELETED, locked)
        locked.delete()


def check_end(expires_at: datetime | None) -> None:
    """Refuse an end that is past.

    Raises:
        ValidationFailed: the key would never be usable.
    """
    if expires_at is not None and expires_at <= timezone.now():
        sentence = "Must be in the future; to end a key now, revoke it."
        raise ValidationFailed.at("expires_at", sentence)


def check_grant(key: ApiKey, *, may_grant: Grantable) -> None:
    """Refuse a key that could do more than who makes it.

    Raises:
        UseDenied: with the scopes and patterns that are too much.
    """
    too_much = sorted(key.effective_scopes() - may_grant.scopes)
    # None at all is no limit: that is more than any pattern.
    names, types = key.service_names or ["*"], key.service_types
    too_much += [f"services named {name}" for name in beyond(names, may_grant.names)]
    if may_grant.types:
        types = types or ["*"]
    too_much += [f"services of type {name}" for name in beyond(types, may_grant.types)]
    if too_much:
        raise UseDenied(f"A key cannot be given more than its maker may do: {', '.join(too_much)}.")


def _assign(key: ApiKey, fields: Mapping[str, Any], *, may_grant: Grantable) -> None:
    ended_at, could, was = key.expires_at, _rights_of(key), key.name
    is_new = key._state.adding
    for name, value in fields.items():
        setattr(key, name, value)
    try:
        key.full_clean(validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        raise as_validation_failed(error) from None
    if is_new or key.name != was:
        _check_name(key.name)
    if key.expires_at != ended_at:
        check_end(key.expires_at)
    if is_new or _rights_of(key) != could:
        check_grant(key, may_grant=may_grant)


def _check_name(name: str) -> None:
    """Refuse the name of a person: what is owned, started and decided is known by names."""
    people = get_user_model().objects.filter(username__iexact=name)
    if name.lower() == ANONYMOUS or people.exists():
        raise ValidationFailed.at("name", f"'{name}' is who others are: choose another name.")


def _said_of(key: ApiKey) -> dict[str, Any]:
    patterns = {"service_names": key.service_names, "service_types": key.service_types}
    said = {name: value for name, value in patterns.items() if value}
    return {"role": key.role, "scopes": key.scopes, **said}


def _rights_of(key: ApiKey) -> tuple[Any, ...]:
    return key.effective_scopes(), key.service_names, key.service_types
