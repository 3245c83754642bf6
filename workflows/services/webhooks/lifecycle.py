"""Finds, creates, updates and deletes webhooks."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction

from core import audit
from core.db.locking import columns_of, lock_row, save_if_changed, unique_name
from core.db.retention import drop_history
from core.db.validation import as_validation_failed
from core.exceptions import ValidationFailed
from core.models import AuditVerb
from registry.credentials.audit import record
from registry.credentials.references import title_of
from registry.models import Credential, CredentialEventKind, CredentialType
from registry.policies.integration_mapping import mapping_problems
from workflows.models import Webhook, WebhookDelivery, WebhookEffect, Workflow
from workflows.webhooks.mapping import MESSAGE_NAMES
from workflows.webhooks.signature import TOLERANCE_SECONDS

logger = structlog.get_logger(__name__)

_SECRETS = ("credential", "old_credential")


def get_webhook(reference: str) -> Webhook:
    """Return the webhook of that id or name, with its workflow and credential.

    Raises:
        NotFound: there is none.
    """
    return Webhook.objects.get_named(reference)


def create_webhook(
    fields: Mapping[str, Any], *, actor: str = "", may_use_credentials: bool = True
) -> Webhook:
    """Store a new webhook; `workflow` and `credential` are rows, ids or names.

    Raises:
        ValidationFailed: a field breaks a rule.
        Conflict: the name is taken.
        PermissionDenied: without `may_use_credentials`.
    """
    webhook = Webhook()
    with transaction.atomic():
        _save(webhook, fields, actor=actor, may_use_credentials=may_use_credentials)
        audit.record(AuditVerb.CREATED, webhook)
    logger.info("webhook_created", webhook=webhook.name, actor=actor)
    return get_webhook(str(webhook.pk))


def update_webhook(
    webhook: Webhook,
    fields: Mapping[str, Any],
    *,
    actor: str = "",
    if_unchanged: bool = False,
    may_use_credentials: bool = True,
) -> Webhook:
    """Change what is given and leave the rest.

    Raises:
        As of `create_webhook`; and
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    with transaction.atomic():
        locked = lock_row(webhook, if_unchanged=if_unchanged)
        before = audit.snapshot(locked)
        _save(locked, fields, actor=actor, may_use_credentials=may_use_credentials)
        audit.record_changes(locked, before)
    logger.info("webhook_changed", webhook=locked.name, actor=actor, fields=sorted(fields))
    return get_webhook(str(locked.pk))


def delete_webhook(webhook: Webhook, *, actor: str = "", if_unchanged: bool = False) -> None:
    """Delete a webhook with its history: ids of messages may come again under its name.

    Raises:
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    with transaction.atomic():
        locked = lock_row(webhook, if_unchanged=if_unchanged)
        _note_links(locked, locked.credentials, (), actor=actor)
        audit.record(AuditVerb.DELETED, locked)
        locked.delete()
    logger.info("webhook_deleted", webhook=webhook.name, actor=actor)


def _save(
    webhook: Webhook, fields: Mapping[str, Any], *, actor: str, may_use_credentials: bool
) -> None:
    values = dict(fields)
    is_new = webhook._state.adding
    columns = None if is_new else columns_of(webhook)
    before = () if is_new else webhook.credentials
    if not before and "credential" not in values:
        sentence = "Name the HMAC signature credential that messages are signed with."
        raise ValidationFailed.at("credential", sentence)
    for field in _SECRETS:
        if field in values:
            credential = _find_credential(field, values.pop(field), may_use_credentials)
            setattr(webhook, field, credential)
    if "workflow" in values:
        given = values.pop("workflow")
        webhook.workflow = None if given is None else Workflow.objects.get_given("workflow", given)
    for name, value in values.items():
        setattr(webhook, name, value)
    check_webhook(webhook)
    with unique_name(webhook), transaction.atomic():
        save_if_changed(webhook, columns)
        _note_links(webhook, before, webhook.credentials, actor=actor)


def check_webhook_fields(webhook: Webhook, fields: Mapping[str, Any]) -> None:
    """Hold what would be given against every rule, on a copy: nothing is stored.

    Raises:
        ValidationFailed: by the path of what is wrong.
    """
    draft = copy.copy(webhook)
    for name, value in fields.items():
        setattr(draft, name, value)
    check_webhook(draft)


def check_webhook(webhook: Webhook) -> None:
    """Hold a webhook against the rules.

    Raises:
        ValidationFailed: by the path of what is wrong, such as `mapping.order_id`.
    """
    problems = {} if webhook.mapping is None else mapping_problems(webhook.mapping, MESSAGE_NAMES)
    if problems:
        errors = {_place(path): [sentence] for path, sentence in problems.items()}
        raise ValidationFailed.by_path(errors)
    try:
        webhook.full_clean(
            exclude=("workflow", *_SECRETS), validate_unique=False, validate_constraints=False
        )
    except ValidationError as error:
        raise as_validation_failed(error) from None
    _check_whole(webhook)


def _place(path: str) -> str:
    return f"mapping{path}" if not path or path.startswith("[") else f"mapping.{path}"


def _check_whole(webhook: Webhook) -> None:
    """Check what a webhook needs, which depends on its effect."""
    for field in _SECRETS:
        credential = getattr(webhook, field)
        if credential is not None and credential.type != CredentialType.HMAC_SIGNATURE:
            raise ValidationFailed.at(
                field,
                f"'{credential.name}' is of the type {credential.type}; a webhook needs an"
                " HMAC_SIGNATURE.",
            )
    if webhook.old_credential is not None and webhook.old_credential == webhook.credential:
        raise ValidationFailed.at("old_credential", "It is the present one: give another, or none.")
    if webhook.effect == WebhookEffect.EXECUTION:
        if webhook.workflow is None:
            raise ValidationFailed.at("workflow", "Say which workflow is started.")
        return
    for name, example in (("signal", "payment-received"), ("find", "$.input.order_id")):
        if not getattr(webhook, name):
            raise ValidationFailed.at(name, f"A signal needs it, such as {example}.")


def _find_credential(field: str, reference: Any, is_allowed: bool) -> Credential | None:
    if not is_allowed:
        raise PermissionDenied("Giving a webhook a credential needs the scope credentials:use.")
    if not reference and field == "old_credential":
        return None
    return Credential.objects.get_given(field, reference)


def _note_links(
    webhook: Webhook,
    before: Sequence[Credential],
    after: Sequence[Credential],
    *,
    actor: str,
) -> None:
    """Note in the trails of credentials that a webhook takes them from now on, or no longer."""
    about: dict[str, Any] = {"actor": actor, "subject": title_of(webhook)}
    for credential in before:
        if credential not in after:
            record(credential, CredentialEventKind.UNLINKED, **about)
    for credential in after:
        if credential not in before:
            record(credential, CredentialEventKind.LINKED, **about)


def forget_deliveries(*, now: datetime) -> int:
    """Drop what is older than the settings say, and beyond the most of each; return how many.

    What was accepted within the window of the signature stays: it is what refuses a replay.
    """
    return drop_history(
        WebhookDelivery.objects,
        of="webhook",
        days=settings.WEBHOOK_HISTORY_DAYS,
        most=settings.WEBHOOK_HISTORY_MOST,
        now=now,
        until=now - timedelta(seconds=2 * TOLERANCE_SECONDS),
    )
