"""Takes messages to webhooks: verifies, maps and delivers each once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from core.exceptions import Conflict, IntegrationError, NotFound, ValidationFailed
from core.expressions import ExpressionError, Recorded, compile_template, json_type
from core.json import strict
from registry.credentials.audit import CredentialUse, record_uses
from registry.credentials.references import title_of
from registry.models import Credential, CredentialEventKind
from workflows.execution_rows import Start
from workflows.models import (
    TERMINAL,
    DeliveryOutcome,
    FindBy,
    StepStatus,
    Webhook,
    WebhookDelivery,
    WebhookEffect,
    WorkflowExecution,
)
from workflows.services.executions.lookup import get_execution
from workflows.services.executions.signals import signal_execution
from workflows.services.executions.start import start_execution
from workflows.services.webhooks.secrets import find_signer
from workflows.webhooks.signature import Message, MessageRefused, check_time, read_message

logger = structlog.get_logger(__name__)

# Alike ones that came within this time are counted in one row.
COUNTED_TOGETHER = timedelta(hours=1)
LOOKED_AT = 20


class MalformedMessage(IntegrationError):
    """A signed message whose body is no JSON object."""

    code = "malformed_json"
    status_code = 400
    permanent = True


@dataclass(frozen=True, slots=True)
class Received:
    """What became of a message: whether it did something now, or had done it before."""

    delivery: WebhookDelivery
    is_new: bool


def receive_message(
    webhook: Webhook, headers: Mapping[str, str], body: bytes, *, request_id: str = ""
) -> Received:
    """Take a message: what it does is stored together with its id, so that it is done once.

    The same message again does nothing, and is told what it did.

    Raises:
        MessageRefused: it is not signed with a secret of the webhook, or is not of now.
        Conflict: the webhook is switched off, or its id came before with another body.
        MalformedMessage: its body is no JSON object.
        ExpressionError: it cannot be mapped.
        NotFound, Conflict: there is nothing to be signalled, or started.
        VaultError: the secret cannot be read.
    """
    now = timezone.now()
    try:
        message = read_message(headers, body)
        signer = find_signer(webhook, message, now=now)
        check_time(message, now=now.timestamp())
    except MessageRefused as error:
        reason = str(error.details.get("reason", ""))
        _note(webhook, DeliveryOutcome.REFUSED, reason, error.message, request_id=request_id)
        raise
    try:
        received = _take(webhook, message, request_id=request_id)
    except IntegrationError as error:
        _note(
            webhook,
            DeliveryOutcome.FAILED,
            error.code,
            _without_values(error),
            message_id=message.id,
            request_id=request_id,
        )
        raise
    if received.is_new:
        _note_use(webhook, signer, at=now)
    return received


def _without_values(error: IntegrationError) -> str:
    """Return what went wrong, without what the message said."""
    if isinstance(error, ExpressionError):
        path = error.details.get("path")
        return f"It cannot be mapped, at '{path}'." if path else "It cannot be mapped."
    return error.message


def _take(webhook: Webhook, message: Message, *, request_id: str) -> Received:
    if not webhook.enabled:
        raise Conflict(f"The webhook '{webhook.name}' is switched off.")
    digest = hashlib.sha256(message.body).hexdigest()
    earlier = _accepted_before(webhook, message, digest)
    if earlier is not None:
        return earlier
    document = _read_body(message.body)
    delivery = WebhookDelivery(
        webhook=webhook,
        outcome=DeliveryOutcome.ACCEPTED,
        message_id=message.id,
        digest=digest,
        request_id=request_id[:200],
    )
    try:
        with transaction.atomic():
            # First, so that the same message, arriving twice at once, waits here for itself.
            delivery.save(force_insert=True)
            delivery.execution_id = _deliver(webhook, message, document, request_id=request_id)
            delivery.save(update_fields=("execution_id",))
    except IntegrityError:
        earlier = _accepted_before(webhook, message, digest)
        if earlier is None:
            raise NotFound(f"The webhook '{webhook.name}' was deleted meanwhile.") from None
        return earlier
    return Received(delivery, is_new=True)


def _note_use(webhook: Webhook, credential: Credential, *, at: datetime) -> None:
    """Count the use of the secret in its audit trail; the message is accepted whether or not."""
    use = CredentialUse(
        credential_id=str(credential.pk),
        credential_name=credential.name,
        kind=CredentialEventKind.USED,
        actor=webhook.actor,
        subject=title_of(webhook),
    )
    try:
        record_uses(use, used_at=at)
    except DatabaseError as error:
        logger.warning("use_not_recorded", credential=credential.name, error=str(error)[:300])


def _accepted_before(webhook: Webhook, message: Message, digest: str) -> Received | None:
    rows = WebhookDelivery.objects.filter(
        webhook=webhook, message_id=message.id, outcome=DeliveryOutcome.ACCEPTED
    )
    earlier = rows.first()
    if earlier is None:
        return None
    if earlier.digest != digest:
        raise Conflict(f"A message with the id '{message.id}' came before, with another body.")
    rows.update(count=F("count") + 1, updated_at=timezone.now())
    return Received(earlier, is_new=False)


def _read_body(body: bytes) -> dict[str, Any]:
    try:
        value = strict.parse(body)
    except strict.JSONRefused as error:
        raise MalformedMessage(f"The body is not usable JSON: {error}") from None
    if not isinstance(value, dict):
        raise MalformedMessage("The body must be a JSON object.")
    return value


# --- What it does ---


def _deliver(
    webhook: Webhook, message: Message, document: dict[str, Any], *, request_id: str
) -> UUID:
    """Start or signal an execution in the caller's transaction."""
    sent_at = datetime.fromtimestamp(message.timestamp, UTC).isoformat()
    about = {"webhook": webhook.name, "webhook_id": message.id, "sent_at": sent_at}
    scope = {"input": document, "context": about}
    recorded = Recorded(timezone.now(), f"{webhook.pk}:{message.id}")
    mapped = document
    if webhook.mapping is not None:
        mapped = compile_template(webhook.mapping).render(scope, recorded)
    wanted = _text_at(webhook.find, scope, recorded) if webhook.find else ""
    if webhook.effect == WebhookEffect.SIGNAL:
        name = _text_at(webhook.signal, scope, recorded)
        execution = _find_execution(webhook, wanted, signal=name)
        signal_execution(execution.pk, name=name[:200], payload=mapped, actor=webhook.actor)
        return execution.pk
    return _start(webhook, message, mapped, {**about, "request_id": request_id}, wanted)


def _start(
    webhook: Webhook, message: Message, mapped: Any, context: dict[str, Any], correlation: str
) -> UUID:
    if webhook.workflow is None:
        raise Conflict(f"The webhook '{webhook.name}' starts no workflow.")
    if not isinstance(mapped, dict):
        raise ExpressionError("mapping: it must give an object, the input of an execution.")
    key = hashlib.sha256(f"{webhook.pk}:{message.id}".encode()).hexdigest()[:32]
    start = Start(
        input=mapped,
        context={},
        noted=context,
        idempotency_key=f"webhook:{key}",
        caller=f"webhook:{webhook.pk}",
        actor=webhook.actor,
        correlation_id=correlation,
    )
    return start_execution(webhook.workflow, start).execution.pk


def _text_at(written: str, scope: Mapping[str, Any], recorded: Recorded) -> str:
    """Return what a text, or the expression in it, says of this message.

    Raises:
        ValidationFailed: it is neither a text nor a number.
    """
    value = compile_template(written).render(scope, recorded)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ValidationFailed(
            f"{written} gives {json_type(value)} of this message; it takes a text or a number."
        )
    return str(value)


def _find_execution(webhook: Webhook, wanted: str, *, signal: str) -> WorkflowExecution:
    """Return the execution that a message is for.

    By a correlation id that is the one which waits for the signal; else the one that was not
    started by another.

    Raises:
        NotFound: there is none that goes on.
        Conflict: there are several.
    """
    if webhook.find_by == FindBy.EXECUTION_ID:
        found = get_execution(wanted)
        if webhook.workflow_id not in (None, found.workflow_id):
            raise NotFound(f"No execution of '{webhook.workflow}' with the id '{wanted[:100]}'.")
        return found
    going = WorkflowExecution.objects.filter(correlation_id=wanted[:100])
    going = going.exclude(status__in=TERMINAL)
    if webhook.workflow_id is not None:
        going = going.filter(workflow=webhook.workflow_id)
    waiting = going.filter(steps__status=StepStatus.WAITING, steps__input__event=signal).distinct()
    candidates = list(waiting[:2]) or list(going.filter(parent_step__isnull=True)[:2])
    if not candidates:
        raise NotFound(f"No execution with the correlation id '{wanted[:100]}' goes on.")
    if len(candidates) > 1:
        raise Conflict(
            f"Several executions with the correlation id '{wanted[:100]}' go on. Let the webhook"
            " name a workflow, or find by execution id."
        )
    return candidates[0]


# --- What is remembered of those that did nothing ---


def _note(
    webhook: Webhook,
    outcome: DeliveryOutcome,
    code: str,
    reason: str,
    *,
    message_id: str = "",
    request_id: str,
) -> None:
    """Note a message that did nothing; alike ones are counted, so that nobody fills the table."""
    since = timezone.now() - COUNTED_TOGETHER
    latest = webhook.deliveries.order_by("-id")[:LOOKED_AT]
    alike = [
        row.pk
        for row in latest
        if (row.outcome, row.code, row.message_id) == (outcome, code[:50], message_id)
        and row.created_at > since
    ]
    if alike:
        WebhookDelivery.objects.filter(pk=alike[0]).update(
            count=F("count") + 1, reason=reason[:500], updated_at=timezone.now()
        )
        return
    WebhookDelivery.objects.create(
        webhook=webhook,
        outcome=outcome,
        message_id=message_id,
        code=code[:50],
        reason=reason[:500],
        request_id=request_id[:200],
    )
    logger.warning("webhook_message_unused", webhook=webhook.name, code=code, reason=reason[:300])
