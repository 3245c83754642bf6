"""Alerts: where incidents are told, what was told there of each, and every message."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q, Value
from django.utils import timezone

from core.db.json_fields import CheckedJSONField, object_field, validate_list, validate_strings
from core.db.models import AppendedModel, NamedModel, NamedQuerySet, name_constraint
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from core.models.audit import MAX_ACTOR
from monitoring.models.incident import Incident, Severity
from registry.models.credential import SealedModel

DAY_SECONDS = 86_400


class ChannelType(Vocabulary):
    """The ways in which people and their tools are told."""

    EMAIL = "EMAIL", "E-mail"
    WEBHOOK = "WEBHOOK", "Signed webhook"
    SLACK = "SLACK", "Slack"
    TEAMS = "TEAMS", "Microsoft Teams"
    DISCORD = "DISCORD", "Discord"
    TELEGRAM = "TELEGRAM", "Telegram"
    NTFY = "NTFY", "ntfy"
    PAGERDUTY = "PAGERDUTY", "PagerDuty"
    OPSGENIE = "OPSGENIE", "Opsgenie"


class AlertChannelQuerySet(NamedQuerySet["AlertChannel"]):
    """Selections of channels."""


class AlertChannel(NamedModel, SealedModel):
    """A place where incidents are told; its secret is sealed and never read back.

    Empty filters let everything through. Times are Alertmanager's: `group_wait_seconds` before the
    first message on a subject, `group_interval_seconds` between messages on it, and
    `repeat_seconds` until it is told again that nothing changed (0: never).
    """

    type = EnumField(vocabulary=ChannelType, max_length=20)
    enabled = models.BooleanField(default=True)
    config = object_field()
    min_severity = EnumField(vocabulary=Severity, max_length=20, default=Severity.WARNING)
    subjects = CheckedJSONField(
        default=list,
        blank=True,
        validators=[validate_strings],
        help_text="Only incidents of these kinds. Empty: of all.",
    )
    services = CheckedJSONField(
        default=list,
        blank=True,
        validators=[validate_strings],
        help_text="Only of services of these names, such as pay-*. Empty: of all, and of the hub.",
    )
    tags = CheckedJSONField(
        default=list,
        blank=True,
        validators=[validate_strings],
        help_text="Only of services with one of these tags. Empty: of all, and of the hub.",
    )
    only_escalated = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Tell only what a policy of escalation sends here.",
    )
    send_resolved = models.BooleanField(default=True, help_text="Tell that it is over, too.")
    group_wait_seconds = models.PositiveIntegerField(
        default=30, validators=[MaxValueValidator(3600)]
    )
    group_interval_seconds = models.PositiveIntegerField(
        default=300, validators=[MaxValueValidator(DAY_SECONDS)]
    )
    repeat_seconds = models.PositiveIntegerField(
        default=14_400, validators=[MaxValueValidator(30 * DAY_SECONDS)]
    )
    per_minute = models.PositiveIntegerField(
        default=20, validators=[MinValueValidator(1), MaxValueValidator(1000)]
    )
    quiet_hours = CheckedJSONField(
        default=list,
        db_default=Value([], models.JSONField()),
        blank=True,
        validators=[validate_strings],
        help_text="When nothing but what is grave is told, such as 22:00-07:00 MON-FRI.",
    )
    quiet_timezone = models.CharField(max_length=64, default="UTC", db_default="UTC")
    # What is told all the same; empty: nothing.
    quiet_min_severity = EnumField(
        vocabulary=Severity,
        max_length=20,
        blank=True,
        default=Severity.CRITICAL,
        db_default=Severity.CRITICAL,
    )
    # Since when it was not told all; a digest of that is due after it.
    quiet_since = models.DateTimeField(null=True, editable=False)
    failures = models.PositiveIntegerField(default=0, editable=False)
    last_error = models.CharField(max_length=500, blank=True, default="", editable=False)
    last_sent_at = models.DateTimeField(null=True, editable=False)

    objects = AlertChannelQuerySet.as_manager()

    class Meta:
        db_table = "alert_channel"
        ordering = ("name",)
        constraints = (
            enum_check("alert_channel", "type", ChannelType),
            enum_check("alert_channel", "min_severity", Severity),
            enum_check("alert_channel", "quiet_min_severity", Severity, blank=True),
            name_constraint("alert_channel", "A channel"),
        )
        indexes = (models.Index(fields=("key_id",), name="alert_channel_key_idx"),)

    @property
    def has_secret(self) -> bool:
        return bool(self.key_id)

    @property
    def status(self) -> str:
        """Return how it is, in a word of the statuses of others."""
        if not self.enabled:
            return "DISABLED"
        return "ERROR" if self.failures else "ACTIVE"


class EscalationPolicyQuerySet(NamedQuerySet["EscalationPolicy"]):
    """Selections of policies of escalation."""


class EscalationPolicy(NamedModel):
    """Who else is told of what nobody sees to.

    `levels` are objects with `after_minutes` and `channels`, by their ids, the first to be told
    first. Empty filters let everything through.
    """

    enabled = models.BooleanField(default=True)
    min_severity = EnumField(vocabulary=Severity, max_length=20, default=Severity.CRITICAL)
    subjects = CheckedJSONField(
        default=list,
        blank=True,
        validators=[validate_strings],
        help_text="Only incidents of these kinds. Empty: of all.",
    )
    services = CheckedJSONField(
        default=list,
        blank=True,
        validators=[validate_strings],
        help_text="Only of services of these names, such as pay-*. Empty: of all, and of the hub.",
    )
    tags = CheckedJSONField(
        default=list,
        blank=True,
        validators=[validate_strings],
        help_text="Only of services with one of these tags. Empty: of all, and of the hub.",
    )
    levels = CheckedJSONField(default=list, blank=True, validators=[validate_list])

    objects = EscalationPolicyQuerySet.as_manager()

    class Meta:
        db_table = "escalation_policy"
        verbose_name = "escalation policy"
        verbose_name_plural = "escalation policies"
        ordering = ("name",)
        constraints = (
            enum_check("escalation_policy", "min_severity", Severity),
            name_constraint("escalation_policy", "An escalation policy"),
        )

    @property
    def status(self) -> str:
        """Return whether it is followed, in a word of the statuses of others."""
        return "ACTIVE" if self.enabled else "DISABLED"


class AlertEscalation(AppendedModel):
    """A level of a policy that was told of an incident which nobody saw to `since` then."""

    policy = models.ForeignKey(
        EscalationPolicy, on_delete=models.CASCADE, related_name="escalations", db_index=False
    )
    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="escalations")
    level = models.PositiveIntegerField()
    since = models.DateTimeField()

    class Meta:
        db_table = "alert_escalation"
        constraints = (
            models.UniqueConstraint(
                fields=("policy", "incident", "level", "since"), name="alert_escalation_key"
            ),
        )

    def __str__(self) -> str:
        return f"{self.incident_id} at level {self.level}"


class AlertSilenceQuerySet(NamedQuerySet["AlertSilence"]):
    """Selections of silences."""


class AlertSilence(NamedModel):
    """A time in which nobody is told of what it matches; `description` says why.

    An incident has to pass every matcher that is given, and at least one is.
    """

    subjects = CheckedJSONField(
        default=list,
        blank=True,
        validators=[validate_strings],
        help_text="Only incidents of these kinds. Empty: of all.",
    )
    services = CheckedJSONField(
        default=list,
        blank=True,
        validators=[validate_strings],
        help_text="Only of services of these names, such as pay-*.",
    )
    tags = CheckedJSONField(
        default=list,
        blank=True,
        validators=[validate_strings],
        help_text="Only of services with one of these tags.",
    )
    about = CheckedJSONField(
        default=list,
        blank=True,
        validators=[validate_strings],
        help_text="Only about what has one of these names, such as a check or a connection.",
    )
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    created_by = models.CharField(max_length=MAX_ACTOR, blank=True, default="", editable=False)

    objects = AlertSilenceQuerySet.as_manager()

    class Meta:
        db_table = "alert_silence"
        verbose_name = "silence"
        ordering = ("-ends_at", "name")
        constraints = (
            name_constraint("alert_silence", "A silence"),
            models.CheckConstraint(
                name="alert_silence_times_check", condition=Q(ends_at__gte=F("starts_at"))
            ),
        )
        indexes = (models.Index(fields=("ends_at",), name="alert_silence_end_idx"),)

    @property
    def status(self) -> str:
        """Return how it is now, in a word of the statuses of others."""
        now = timezone.now()
        if self.ends_at <= now:
            return "ENDED"
        return "SCHEDULED" if self.starts_at > now else "ACTIVE"


class NoticeState(Vocabulary):
    """What a channel was told of an incident last."""

    FIRING = "FIRING", "Told that it is open"
    RESOLVED = "RESOLVED", "Told that it is over"


class AlertNotice(AppendedModel):
    """What a channel was told of an incident, and when: the only memory of that."""

    channel = models.ForeignKey(AlertChannel, on_delete=models.CASCADE, related_name="notices")
    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="notices")
    state = EnumField(vocabulary=NoticeState, max_length=20)
    # How grave it was then: what becomes worse is told again.
    severity = EnumField(vocabulary=Severity, max_length=20, blank=True, default="", db_default="")
    told_at = models.DateTimeField()

    class Meta:
        db_table = "alert_notice"
        constraints = (
            enum_check("alert_notice", "state", NoticeState),
            enum_check("alert_notice", "severity", Severity, blank=True),
            models.UniqueConstraint(fields=("channel", "incident"), name="alert_notice_key"),
        )
        indexes = (
            models.Index(
                fields=("channel",), name="alert_notice_firing_idx", condition=Q(state="FIRING")
            ),
        )

    def __str__(self) -> str:
        return f"{self.channel_id} of {self.incident_id}"


class DeliveryReason(Vocabulary):
    """Why a message is sent."""

    FIRING = "FIRING", "Something is wrong"
    REPEAT = "REPEAT", "It still is"
    ESCALATION = "ESCALATION", "Nobody sees to it"
    RESOLVED = "RESOLVED", "It is over"
    DIGEST = "DIGEST", "What was in quiet hours"
    TEST = "TEST", "A test"


class DeliveryState(Vocabulary):
    """The stages of a message; DEAD is one that was given up."""

    PENDING = "PENDING", "Pending"
    SENDING = "SENDING", "Sending"
    SENT = "SENT", "Sent"
    DEAD = "DEAD", "Given up"


UNSENT = (DeliveryState.PENDING, DeliveryState.SENDING)


class AlertDelivery(AppendedModel):
    """One message to one channel: written with what it tells, sent by whoever claims it.

    Its id is the key by which a receiver that is told twice knows the second time.
    """

    channel = models.ForeignKey(
        AlertChannel, on_delete=models.CASCADE, related_name="deliveries", db_index=False
    )
    reason = EnumField(vocabulary=DeliveryReason, max_length=20)
    state = EnumField(vocabulary=DeliveryState, max_length=20, default=DeliveryState.PENDING)
    severity = EnumField(vocabulary=Severity, max_length=20)
    group_key = models.CharField(max_length=300)
    title = models.CharField(max_length=300)
    text = models.TextField()
    incidents = CheckedJSONField(default=list)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    status_code = models.PositiveIntegerField(null=True)
    response = models.CharField(max_length=500, blank=True, default="")
    sent_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "alert_delivery"
        verbose_name = "alert message"
        ordering = ("-id",)
        constraints = (
            enum_check("alert_delivery", "reason", DeliveryReason),
            enum_check("alert_delivery", "state", DeliveryState),
            enum_check("alert_delivery", "severity", Severity),
        )
        indexes = (
            models.Index(fields=("channel", "id"), name="alert_delivery_channel_idx"),
            models.Index(
                fields=("next_attempt_at",),
                name="alert_delivery_due_idx",
                condition=Q(state__in=("PENDING", "SENDING")),
            ),
            models.Index(
                fields=("channel", "sent_at"),
                name="alert_delivery_sent_idx",
                condition=Q(state="SENT"),
            ),
        )

    def __str__(self) -> str:
        return self.title
