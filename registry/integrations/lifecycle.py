"""Integrations are made, changed and deleted."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction

from core import audit
from core.db.locking import columns_of, lock_row, save_if_changed, unique_name
from core.db.validation import as_validation_failed
from core.exceptions import ValidationFailed
from core.json.merge_patch import resolved
from core.models import AuditVerb
from core.references import refuse_if_used, title_of
from registry.calls.targets.resolver import CallTarget, resolve
from registry.exceptions import CallError
from registry.integrations.execution import find_integration
from registry.integrations.grants import (
    grant_integration,
    holds_grant,
    sending_of,
    uses_of_integration,
)
from registry.models import (
    EXECUTABLE,
    Connection,
    ConnectionType,
    Integration,
    ServiceType,
    TargetKind,
)
from registry.policies.credential_grants import GrantState
from registry.policies.integration_mapping import ANSWER_NAMES, REQUEST_NAMES, mapping_problems

# What can be asked by a request and answers it.
CALLABLE = (ConnectionType.HTTP, ConnectionType.GRAPHQL, ConnectionType.WEBHOOK)
_MAPPINGS = {"request_mapping": REQUEST_NAMES, "response_mapping": ANSWER_NAMES}
_OF_SERVICE = ("service", "service_type")


def create_integration(
    fields: Mapping[str, Any], *, may_use_credentials: bool = True
) -> Integration:
    """Make an integration. `target` is `{"service" or "service_type", "action"}`, or
    `{"connection", "method", "path"}`.

    Raises:
        ValidationFailed: a field breaks a rule, or the target of an ACTIVE one does not exist.
        Conflict: the name is taken.
        PermissionDenied: the connection has a credential, without `may_use_credentials`.

    With `may_use_credentials` it may use the credentials that it reaches then.
    """
    integration = Integration()
    with unique_name(integration, fields), transaction.atomic():
        _assign(integration, fields, may_use_credentials=may_use_credentials)
        integration.save()
        audit.record(AuditVerb.CREATED, integration)
        if may_use_credentials:
            grant_integration(integration, actor=audit.actor_name())
    return find_integration(str(integration.pk))


def update_integration(
    integration: Integration,
    fields: Mapping[str, Any],
    *,
    if_unchanged: bool = False,
    may_use_credentials: bool = True,
) -> Integration:
    """Change what is given and leave the rest. A status that is given begins without failures.

    Raises:
        As of `create_integration`; and
        PermissionDenied: it sends something else with a credential, without `may_use_credentials`.
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    with unique_name(integration, fields), transaction.atomic():
        locked = lock_row(integration, if_unchanged=if_unchanged)
        before, columns = audit.snapshot(locked), columns_of(locked)
        sent, held = sending_of(locked), holds_grant(locked)
        _assign(locked, fields, may_use_credentials=may_use_credentials)
        if "status" in fields:
            locked.failures_in_a_row, locked.last_error = 0, ""
        save_if_changed(locked, columns)
        audit.record_changes(locked, before)
        if may_use_credentials and (sending_of(locked) != sent or _is_given(fields)):
            grant_integration(locked, actor=audit.actor_name())
        elif held and not may_use_credentials:
            _refuse_other_use(locked)
    return find_integration(str(locked.pk))


def delete_integration(
    integration: Integration, *, if_unchanged: bool = False, force: bool = False
) -> None:
    """Forget an integration with its history.

    Raises:
        Conflict: something uses it, without `force`.
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    with transaction.atomic():
        locked = lock_row(integration, if_unchanged=if_unchanged)
        refuse_if_used(locked, force=force)
        audit.record(AuditVerb.DELETED, locked)
        locked.delete()


def check_integration(
    integration: Integration, fields: Mapping[str, Any], *, may_use_credentials: bool = True
) -> None:
    """Hold what would be given against every rule, on a copy: nothing is stored.

    Raises:
        As of `create_integration`.
    """
    held = not integration._state.adding and holds_grant(integration)
    draft = copy.copy(integration)
    _assign(draft, fields, may_use_credentials=may_use_credentials)
    if held and not may_use_credentials:
        _refuse_other_use(draft)


# --- What is given ---


def _assign(
    integration: Integration, fields: Mapping[str, Any], *, may_use_credentials: bool
) -> None:
    """Put what is given into the row and hold it against the rules."""
    before = integration.connection
    for name, value in resolved(integration, fields).items():
        if name != "target":
            setattr(integration, name, value)
    if "target" in fields:
        for name, value in read_target(fields["target"]).items():
            setattr(integration, name, value)
    elif integration._state.adding:
        raise ValidationFailed.at(
            "target", 'Say what is called: {"service": "...", "action": "..."}.'
        )
    check_mappings(integration)
    try:
        integration.full_clean(validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        raise as_validation_failed(error) from None
    check_connection(integration, before, is_allowed=may_use_credentials)
    if integration.status in EXECUTABLE:
        check_target(integration)


def read_target(target: Any) -> dict[str, Any]:
    """The columns that a target is kept in; another kind of target leaves nothing of the old one.

    Raises:
        ValidationFailed: with the path of what is wrong, such as `target.action`.
    """
    if not isinstance(target, Mapping):
        raise ValidationFailed.at("target", "Must be an object.")
    named = [name for name in (*_OF_SERVICE, "connection") if target.get(name)]
    if len(named) != 1:
        raise ValidationFailed.at("target", "Give one of service, service_type and connection.")
    kind = named[0]
    of_connection = kind == "connection"
    allowed = (kind, *(("method", "path") if of_connection else ("action",)))
    for name in target:
        if name not in allowed and target[name] not in (None, ""):
            raise ValidationFailed.at(
                f"target.{name}", f"With '{kind}', a target has {', '.join(allowed)}."
            )
    if not isinstance(target[kind], str):
        raise ValidationFailed.at(f"target.{kind}", "Must be a text.")
    return _of_connection(target) if of_connection else _of_service(kind, target)


def _of_service(kind: str, target: Mapping[str, Any]) -> dict[str, Any]:
    name, action = target[kind].strip(), target.get("action")
    if not isinstance(action, str) or not action.strip():
        raise ValidationFailed.at("target.action", "Say which action is called.")
    if kind == "service_type":
        try:
            name = ServiceType.parse(name).value
        except ValueError as error:
            raise ValidationFailed.at("target.service_type", str(error)) from None
    return {
        "target_kind": TargetKind.parse(kind),
        "target": name,
        "action": " ".join(action.split()),
        "connection": None,
        "method": "POST",
        "path": "",
    }


def _of_connection(target: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "target_kind": TargetKind.CONNECTION,
        "target": "",
        "action": "",
        "connection": Connection.objects.get_given("target.connection", target["connection"]),
        "method": target.get("method") or "POST",
        "path": target.get("path") or "",
    }


def check_mappings(integration: Integration) -> None:
    """Refuse mappings that cannot work.

    Raises:
        ValidationFailed: with the path of every place, such as `request_mapping.name`.
    """
    errors: dict[str, list[str]] = {}
    for field, names in _MAPPINGS.items():
        value = getattr(integration, field)
        for path, sentence in mapping_problems(value, names).items() if value is not None else ():
            errors[_place(field, path)] = [sentence]
    if errors:
        raise ValidationFailed.by_path(errors)


def _place(field: str, path: str) -> str:
    if not path or path.startswith("["):
        return f"{field}{path}"
    return f"{field}.{path}"


def check_connection(
    integration: Integration, before: Connection | None, *, is_allowed: bool
) -> None:
    """Refuse a connection that cannot be called, or whose credential the caller may not use."""
    connection = integration.connection
    if connection is None:
        return
    if connection.type not in CALLABLE:
        words = ", ".join(kind.label for kind in CALLABLE)
        raise ValidationFailed.at(
            "target.connection",
            f"'{connection.name}' is of the type {connection.type}; what can be called is {words}.",
        )
    is_other = before is None or before.pk != connection.pk
    if is_other and connection.credential_id is not None and not is_allowed:
        raise PermissionDenied(
            f"The connection '{connection.name}' has a credential: this needs the scope"
            " credentials:use."
        )


def _is_given(fields: Mapping[str, Any]) -> bool:
    """Return whether a change says whom an integration calls, or lets it be executed."""
    return "target" in fields or fields.get("status") in EXECUTABLE


def _refuse_other_use(integration: Integration) -> None:
    """Refuse a change that takes away what the integration was allowed to use."""
    for use in uses_of_integration(integration):
        if use.state != GrantState.GRANTED:
            raise PermissionDenied(
                f"The integration '{integration.name}' uses the credential of"
                f" {title_of(use.carrier)}: to change what it sends needs the scope"
                " credentials:use."
            )


def check_target(integration: Integration) -> None:
    """Refuse a service or an action that is not registered; services of a type come and go."""
    if integration.target_kind != TargetKind.SERVICE:
        return
    try:
        resolve(CallTarget("service", integration.target), integration.action)
    except CallError as error:
        field = "action" if "action" in error.details else "service"
        raise ValidationFailed.at(
            f"target.{field}", f"{error.message} Save it as DRAFT until there is one."
        ) from None
