"""Inbound webhooks: who may send messages, what they do, and what became of each."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from core.db.json_fields import CheckedJSONField
from core.db.models import AppendedModel, NamedModel, NamedQuerySet, name_constraint
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from registry.models import Credential
from workflows.models.workflow import Workflow
from workflows.webhooks.mapping import (
    validate_expression,
    validate_mapping,
    validate_signal,
)

LONGEST_MESSAGE_ID = 200


class WebhookEffect(Vocabulary):
    """What a delivery does."""

    EXECUTION = "EXECUTION", "Starts an execution"
    SIGNAL = "SIGNAL", "Signals an execution"


class FindBy(Vocabulary):
    """By what the execution is found that is given the signal."""

    CORRELATION_ID = "CORRELATION_ID", "Correlation id"
    EXECUTION_ID = "EXECUTION_ID", "Execution id"


class WebhookQuerySet(NamedQuerySet["Webhook"]):
    """Selections of webhooks."""

    def with_parts(self) -> WebhookQuerySet:
        found = self.select_related("workflow", "credential", "old_credential")
        return found.defer("credential__ciphertext", "old_credential__ciphertext")

    def find(self, reference: str) -> Webhook | None:
        """Return the webhook of that id or, in any case, that name."""
        return NamedQuerySet.find(self.with_parts(), reference)


class Webhook(NamedModel):
    """A door for messages from outside, signed with the secret of a credential."""

    enabled = models.BooleanField(default=True)
    credential = models.ForeignKey(
        Credential,
        on_delete=models.PROTECT,
        related_name="webhooks",
        help_text="An HMAC signature credential: its key is the secret that the sender signs with.",
    )
    old_credential = models.ForeignKey(
        Credential,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="webhooks_before",
        help_text="While the secret is rotated: what is signed with this one is taken too.",
    )
    effect = EnumField(vocabulary=WebhookEffect, max_length=20, default=WebhookEffect.EXECUTION)
    workflow = models.ForeignKey(
        Workflow,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="webhooks",
        help_text="What is started; for a signal, only executions of it are looked at.",
    )
    signal = models.CharField(
        max_length=1000,
        blank=True,
        default="",
        validators=[validate_signal],
        help_text="The name of the signal, or an expression such as $.input.type.",
    )
    find_by = EnumField(vocabulary=FindBy, max_length=20, default=FindBy.CORRELATION_ID)
    find = models.CharField(
        max_length=1000,
        blank=True,
        default="",
        validators=[validate_expression],
        help_text="Where in the message that stands, such as $.input.order_id.",
    )
    mapping = CheckedJSONField(
        null=True,
        blank=True,
        validators=[validate_mapping],
        help_text="The input, or what the signal carries; empty for the message as it came.",
    )

    objects = WebhookQuerySet.as_manager()

    class Meta:
        db_table = "webhook"
        ordering = ("name",)
        constraints = (
            enum_check("webhook", "effect", WebhookEffect),
            enum_check("webhook", "find_by", FindBy),
            name_constraint("webhook", "A webhook"),
        )

    @property
    def status(self) -> str:
        """Return whether messages are taken, in a word of the statuses of others."""
        return "ACTIVE" if self.enabled else "DISABLED"

    @property
    def credentials(self) -> tuple[Credential, ...]:
        """Those whose secrets are taken: while one is rotated, the old one too."""
        return (self.credential, *((self.old_credential,) if self.old_credential else ()))

    @property
    def actor(self) -> str:
        """The actor that starts and signals, for the record."""
        return f"webhook:{self.name}"[:100]


class DeliveryOutcome(Vocabulary):
    """What became of a message; REFUSED is one that nobody showed to be the sender's."""

    ACCEPTED = "ACCEPTED", "Accepted"
    FAILED = "FAILED", "Failed"
    REFUSED = "REFUSED", "Refused"


class WebhookDelivery(AppendedModel):
    """One message that came, or several alike: `count` says how often. Its body is not kept.

    One that was accepted is there once: its row is the proof that the id was used.
    """

    webhook = models.ForeignKey(
        Webhook, on_delete=models.CASCADE, related_name="deliveries", db_index=False
    )
    outcome = EnumField(vocabulary=DeliveryOutcome, max_length=20)
    message_id = models.CharField(max_length=LONGEST_MESSAGE_ID, blank=True, default="")
    digest = models.CharField(max_length=64, blank=True, default="")
    code = models.CharField(max_length=50, blank=True, default="")
    reason = models.CharField(max_length=500, blank=True, default="")
    # No reference: an execution that is deleted does not take the proof with it.
    execution_id = models.UUIDField(null=True, blank=True)
    count = models.PositiveIntegerField(default=1)
    request_id = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        db_table = "webhook_delivery"
        ordering = ("-id",)
        verbose_name = "delivery"
        verbose_name_plural = "deliveries"
        constraints = (
            enum_check("webhook_delivery", "outcome", DeliveryOutcome),
            models.UniqueConstraint(
                fields=("webhook", "message_id"),
                name="webhook_delivery_accepted_key",
                condition=Q(outcome="ACCEPTED"),
            ),
        )
        indexes = (
            models.Index(fields=("webhook", "-id"), name="webhook_delivery_row_idx"),
            models.Index(fields=("created_at",), name="webhook_delivery_age_idx"),
        )

    def __str__(self) -> str:
        return f"{self.message_id or self.code} ({self.outcome.lower()})"
