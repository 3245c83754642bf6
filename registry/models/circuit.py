"""Circuit breakers: whether an instance or a connection may be called, as every worker sees it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from django.db import models
from django.db.models import Case, IntegerField, Q, Value, When
from django.db.models.functions import Now

from core.db.json_fields import CheckedJSONField, validate_list
from core.db.models import TimestampedModel
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from registry.models.connection import Connection
from registry.models.instance import ServiceInstance


class CircuitState(Vocabulary):
    """Whether calls are let through: all, none, one at a time to see, or as an operator says."""

    CLOSED = "CLOSED", "Closed"
    OPEN = "OPEN", "Open"
    HALF_OPEN = "HALF_OPEN", "Half-open"
    FORCED_OPEN = "FORCED_OPEN", "Forced open"
    DISABLED = "DISABLED", "Disabled"


CONTROLLED = (CircuitState.FORCED_OPEN, CircuitState.DISABLED)
BLOCKING = (CircuitState.OPEN, CircuitState.HALF_OPEN, CircuitState.FORCED_OPEN)
_REFUSES = When(state__in=BLOCKING, then=Value(0))
TROUBLED_FIRST = (
    Case(_REFUSES, default=Value(1), output_field=IntegerField()),
    "instance__service__name",
    "instance__url",
)


class CircuitQuerySet(models.QuerySet["CircuitBreakerState"]):
    """Selections of circuits."""

    def with_places(self) -> Self:
        return self.select_related("instance__service", "connection")

    def blocking(self) -> Self:
        """Those that refuse calls."""
        return self.filter(state__in=BLOCKING)

    def troubled_first(self) -> Self:
        return self.order_by(*TROUBLED_FIRST)

    def with_database_time(self) -> Self:
        """Each row with `read_at`, the database's time."""
        return self.annotate(read_at=Now())


class CircuitBreakerState(TimestampedModel):
    """The circuit of an instance or of a connection.

    Its row is changed only under its lock or by its generation.

    `generation` rises with every change of the state, so that what was decided under an older one
    can be told and dropped. The probe's lease ends by itself when the worker that held it is gone.
    `window` holds the latest calls in tenths of the profile's window while some of them failed.
    """

    # It guards exactly one of the two.
    instance = models.OneToOneField(
        ServiceInstance, on_delete=models.CASCADE, null=True, related_name="circuit"
    )
    connection = models.OneToOneField(
        Connection, on_delete=models.CASCADE, null=True, related_name="circuit"
    )
    state = EnumField(vocabulary=CircuitState, max_length=20, default=CircuitState.CLOSED)
    generation = models.PositiveBigIntegerField(default=0)
    failure_count = models.PositiveIntegerField(default=0)
    success_count = models.PositiveIntegerField(default=0)
    open_count = models.PositiveIntegerField(default=0)
    opened_at = models.DateTimeField(null=True, blank=True)
    retry_at = models.DateTimeField(null=True, blank=True)
    last_failure_at = models.DateTimeField(null=True, blank=True)
    probe_owner = models.CharField(max_length=100, blank=True, default="")
    probe_until = models.DateTimeField(null=True, blank=True)
    forced_by = models.CharField(max_length=100, blank=True, default="")
    reason = models.CharField(max_length=500, blank=True, default="")
    until = models.DateTimeField(null=True, blank=True)
    cause = models.CharField(max_length=300, blank=True, default="")
    window = CheckedJSONField(default=list, blank=True, validators=[validate_list])

    objects = CircuitQuerySet.as_manager()

    class Meta:
        db_table = "circuit_breaker_state"
        ordering = ("instance__service__name", "instance__url")
        verbose_name = "circuit breaker"
        constraints = (
            enum_check("circuit_breaker_state", "state", CircuitState),
            models.CheckConstraint(
                name="circuit_breaker_state_guards_check",
                condition=Q(instance__isnull=False, connection__isnull=True)
                | Q(instance__isnull=True, connection__isnull=False),
            ),
        )
        indexes = (
            # Workers ask every second what changed; the sweep asks what an operator's time ends.
            models.Index(fields=("updated_at",), name="circuit_updated_idx"),
            models.Index(
                fields=("until",), name="circuit_until_idx", condition=Q(until__isnull=False)
            ),
        )

    def __str__(self) -> str:
        return str(self.connection or self.instance)

    @property
    def guarded_id(self) -> UUID | None:
        """The id of what it guards."""
        return self.instance_id or self.connection_id

    @property
    def url(self) -> str:
        """The address of what it guards."""
        if self.connection is not None:
            return self.connection.address
        return self.instance.url if self.instance is not None else ""

    @property
    def is_blocking(self) -> bool:
        return self.state in BLOCKING

    @property
    def next_try_at(self) -> datetime | None:
        """The time of the next call, one or all; None while they go through, or if nobody knows."""
        if self.state == CircuitState.FORCED_OPEN:
            return self.until
        return self.retry_at if self.is_blocking else None

    @property
    def explanation(self) -> str:
        """The reason of its state, in a sentence; empty while it is closed."""
        if self.state in CONTROLLED:
            word = "disabled" if self.state == CircuitState.DISABLED else "opened"
            return f"{self.forced_by or 'An operator'} {word} it: {self.reason}"
        return self.cause

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Made once; changes are updates of the columns, with the database's time."""
        if not self._state.adding:
            raise TypeError(
                "Change a circuit through registry.calls.circuits, not by saving the row."
            )
        super().save(*args, **kwargs)
