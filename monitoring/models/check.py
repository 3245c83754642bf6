"""Checks: what is asked how often, how each subject of a check is, and every answer."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from core.addresses import LONGEST_URL
from core.db.json_fields import object_field, tags_field
from core.db.models import NamedModel, NamedQuerySet, TimestampedModel, name_constraint
from core.db.uuid7 import uuid7
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from monitoring.models.incident import Severity
from registry.models import Service, ServiceInstance
from registry.models.credential import SealedModel

LONGEST_ERROR = 200
DAY_SECONDS = 86_400
# Of a job: others are looked at once a day at least.
LONGEST_PERIOD = 366 * DAY_SECONDS


class CheckKind(Vocabulary):
    """The ways in which something is looked at, or says itself how it is."""

    HTTP = "HTTP", "HTTP"
    TCP = "TCP", "TCP"
    DNS = "DNS", "DNS"
    TLS = "TLS", "TLS certificate"
    HEARTBEAT = "HEARTBEAT", "Heartbeats of a service"
    PUSH = "PUSH", "Calls of a job"


class CheckStatus(Vocabulary):
    """The states of a subject of a check.

    SUSPECT and RECOVERING are not believed yet; STALE is one that nobody looked at for too long.
    """

    UNKNOWN = "UNKNOWN", "Unknown"
    UP = "UP", "Up"
    SUSPECT = "SUSPECT", "Suspect"
    DOWN = "DOWN", "Down"
    RECOVERING = "RECOVERING", "Recovering"
    STALE = "STALE", "Stale"
    PAUSED = "PAUSED", "Paused"


class CheckOutcome(Vocabulary):
    """The outcomes of one look.

    INCONCLUSIVE says nothing of how it is: a fault of the hub's own, or a job that began.
    """

    OK = "OK", "Well"
    FAIL = "FAIL", "Failed"
    INCONCLUSIVE = "INCONCLUSIVE", "Inconclusive"


class CheckSignal(Vocabulary):
    """What a job says when it calls."""

    SUCCESS = "SUCCESS", "Succeeded"
    START = "START", "Began"
    FAIL = "FAIL", "Failed"
    LOG = "LOG", "Said something"


class CheckErrorKind(Vocabulary):
    """The kinds of failures of a look; POLICY and INTERNAL are the hub's own."""

    DNS = "DNS", "Its name was not found"
    CONNECT = "CONNECT", "No connection"
    TLS = "TLS", "TLS failed"
    TIMEOUT = "TIMEOUT", "No answer in time"
    STATUS = "STATUS", "Another status"
    CONDITION = "CONDITION", "A condition was not met"
    MISSED = "MISSED", "It did not call"
    POLICY = "POLICY", "The address may not be called"
    INTERNAL = "INTERNAL", "The hub failed"


class HealthCheckQuerySet(NamedQuerySet["HealthCheck"]):
    """Selections of checks."""


class HealthCheck(NamedModel, SealedModel):
    """What is looked at, and when that is believed.

    One with a service looks at each of its instances. What is null follows the service's `probing`,
    and what that leaves open the hub's settings. `is_automatic` is the one that the hub made itself
    for the health URLs of a service: its answers decide the status of the instances. What is sealed
    is the token by which a job calls, and `push_digest` is by what it is found.
    """

    part_of = "service"

    kind = EnumField(vocabulary=CheckKind, max_length=20)
    service = models.ForeignKey(
        Service, on_delete=models.CASCADE, null=True, blank=True, related_name="checks"
    )
    url = models.CharField(max_length=LONGEST_URL, blank=True, default="")
    is_automatic = models.BooleanField(default=False, editable=False)
    interval_seconds = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(5), MaxValueValidator(LONGEST_PERIOD)]
    )
    timeout_seconds = models.PositiveIntegerField(
        default=5, validators=[MinValueValidator(1), MaxValueValidator(60)]
    )
    retry_seconds = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(86_400)]
    )
    failure_threshold = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )
    success_threshold = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )
    request = object_field()
    conditions = object_field()
    # When a job is due to call, or a look is due otherwise than at intervals.
    cron = models.CharField(max_length=100, blank=True, default="")
    timezone = models.CharField(max_length=64, blank=True, default="UTC")
    grace_seconds = models.PositiveIntegerField(
        default=60, validators=[MinValueValidator(1), MaxValueValidator(31 * 86_400)]
    )
    severity = EnumField(vocabulary=Severity, max_length=20, default=Severity.CRITICAL)
    enabled = models.BooleanField(default=True)
    paused_until = models.DateTimeField(null=True, blank=True)
    owner = models.CharField(max_length=100, blank=True, default="")
    tags = tags_field()
    push_digest = models.CharField(max_length=64, blank=True, default="", editable=False)

    objects = HealthCheckQuerySet.as_manager()

    class Meta:
        db_table = "health_check"
        ordering = ("name",)
        constraints = (
            enum_check("health_check", "kind", CheckKind),
            enum_check("health_check", "severity", Severity),
            name_constraint("health_check", "A check"),
            models.CheckConstraint(
                name="health_check_one_target", condition=Q(service__isnull=True) | Q(url="")
            ),
            models.UniqueConstraint(
                fields=("service",),
                condition=Q(is_automatic=True),
                name="health_check_automatic_key",
            ),
            models.UniqueConstraint(
                fields=("push_digest",),
                condition=~Q(push_digest=""),
                name="health_check_push_key",
            ),
        )
        indexes = (models.Index(fields=("key_id",), name="health_check_key_idx"),)


class CheckState(TimestampedModel):
    """How one subject of a check is: an instance, or what the check itself names.

    Apart from the check, so that what changes with every look stays small.
    """

    health_check = models.ForeignKey(HealthCheck, on_delete=models.CASCADE, related_name="states")
    instance = models.ForeignKey(
        ServiceInstance, on_delete=models.CASCADE, null=True, related_name="check_states"
    )
    state = EnumField(vocabulary=CheckStatus, max_length=20, default=CheckStatus.UNKNOWN)
    since = models.DateTimeField()
    failures = models.PositiveIntegerField(default=0)
    successes = models.PositiveIntegerField(default=0)
    first_failure_at = models.DateTimeField(null=True)
    # Since when it is down, until it is up: also while it recovers, or nobody looks.
    down_since = models.DateTimeField(null=True)
    blips = models.PositiveIntegerField(default=0)
    # The last 21 outcomes, the latest in the lowest bit, a one for each failure.
    flap_bits = models.PositiveIntegerField(default=0)
    flapping = models.BooleanField(default=False)
    outcome = EnumField(vocabulary=CheckOutcome, max_length=20, blank=True, default="")
    error_kind = EnumField(vocabulary=CheckErrorKind, max_length=20, blank=True, default="")
    error = models.CharField(max_length=LONGEST_ERROR, blank=True, default="")
    latency_ms = models.FloatField(null=True)
    certificate_expires_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    last_result_at = models.DateTimeField(null=True)
    # Null: nothing is due, such as while it is paused.
    next_due_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    fence = models.PositiveBigIntegerField(default=0)

    class Meta:
        db_table = "check_state"
        constraints = (
            enum_check("check_state", "state", CheckStatus),
            enum_check("check_state", "outcome", CheckOutcome, blank=True),
            enum_check("check_state", "error_kind", CheckErrorKind, blank=True),
            models.UniqueConstraint(
                fields=("health_check", "instance"), name="check_state_instance_key"
            ),
            models.UniqueConstraint(
                fields=("health_check",),
                condition=Q(instance__isnull=True),
                name="check_state_alone_key",
            ),
        )
        indexes = (
            models.Index(
                fields=("next_due_at",),
                name="check_state_due_idx",
                condition=Q(next_due_at__isnull=False),
            ),
            models.Index(
                fields=("state",),
                name="check_state_trouble_idx",
                condition=~Q(state="UP"),
            ),
        )

    def __str__(self) -> str:
        name = self.health_check.name
        return f"{name} at {self.instance.url}" if self.instance else name


class HealthCheckResult(models.Model):
    """One look, and what came of it; written once, in batches, and dropped after a week."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Without constraints in the database: each would be looked up for every row. An instance may be
    # gone while its results are kept.
    health_check = models.ForeignKey(
        HealthCheck, on_delete=models.CASCADE, related_name="results",
        db_constraint=False, db_index=False,
    )  # fmt: skip
    instance = models.ForeignKey(
        ServiceInstance, on_delete=models.DO_NOTHING, null=True, related_name="+",
        db_constraint=False, db_index=False,
    )  # fmt: skip
    checked_at = models.DateTimeField()
    outcome = EnumField(vocabulary=CheckOutcome, max_length=20)
    latency_ms = models.FloatField(null=True)
    status_code = models.PositiveSmallIntegerField(null=True)
    error_kind = EnumField(vocabulary=CheckErrorKind, max_length=20, blank=True, default="")
    error = models.CharField(max_length=LONGEST_ERROR, blank=True, default="")
    # What a job that called said; both are empty for what was looked at.
    signal = EnumField(vocabulary=CheckSignal, max_length=20, blank=True, default="")
    message = models.TextField(blank=True, default="")
    in_maintenance = models.BooleanField(default=False)
    late_ms = models.PositiveIntegerField(default=0)
    location = models.CharField(max_length=50, blank=True, default="")

    class Meta:
        db_table = "health_check_result"
        ordering = ("-id",)
        constraints = (
            enum_check("health_check_result", "outcome", CheckOutcome),
            enum_check("health_check_result", "signal", CheckSignal, blank=True),
            enum_check("health_check_result", "error_kind", CheckErrorKind, blank=True),
        )
        indexes = (
            models.Index(
                fields=("health_check", "instance", "checked_at"), name="check_result_subject_idx"
            ),
            # Ids grow with time: these are the latest of a check.
            models.Index(fields=("health_check", "-id"), name="check_result_latest_idx"),
        )

    def __str__(self) -> str:
        return f"{self.outcome} at {self.checked_at}"
