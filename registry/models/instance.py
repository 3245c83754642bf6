"""Instances: the places where services answer, and what a sign of life changes of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from core.db.json_fields import metadata_field
from core.db.models import TimestampedModel
from core.db.vocabulary import EnumField, enum_check
from core.json.equality import json_equal
from registry.models.address_fields import UrlField
from registry.models.maintenance import (
    MaintainedModel,
    ends_with_its_beginning,
    maintenance_index,
)
from registry.models.service import Service, ServiceStatus
from registry.policies.liveness import Liveness, expiry_after_sign, liveness_of

# What a sign of life may change, beside the time of it and what it says of itself.
HEARTBEAT_COLUMNS = (
    "expires_at", "expired_at", "suspected_at", "has_beaten", "status", "maintenance_since",
)  # fmt: skip
PREFERENCE: dict[str, float] = {
    ServiceStatus.ONLINE: 0,
    ServiceStatus.DEGRADED: 1,
    ServiceStatus.UNKNOWN: 2,
    ServiceStatus.MAINTENANCE: 3,
    ServiceStatus.OFFLINE: 4,
}
# After everything that is known to live, before everything that is known not to.
SUSPECT_PREFERENCE = 2.5


class ServiceInstance(MaintainedModel, TimestampedModel):
    """One place where a service answers; alive until `expires_at`, which signs of life put off."""

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="instances")
    url = UrlField(is_base=True)
    health_url = UrlField(blank=True, default="")
    status = EnumField(vocabulary=ServiceStatus, max_length=20, default=ServiceStatus.ONLINE)
    version = models.CharField(max_length=50, blank=True, default="")
    zone = models.CharField(max_length=100, blank=True, default="")
    weight = models.PositiveIntegerField(
        default=100, validators=[MinValueValidator(0), MaxValueValidator(1000)]
    )
    ttl_seconds = models.PositiveIntegerField(
        default=90, validators=[MinValueValidator(3), MaxValueValidator(86400)]
    )
    last_heartbeat_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    expired_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Its time ran out together with that of so many others that this may be no sign of its own end.
    suspected_at = models.DateTimeField(null=True, blank=True, editable=False)
    # What its health URL answered in a row, and since when too often not well.
    probe_failures = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    probe_successes = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    next_probe_at = models.DateTimeField(null=True, blank=True, editable=False)
    unhealthy_since = models.DateTimeField(null=True, blank=True, editable=False)
    probe_error = models.CharField(
        max_length=300, blank=True, default="", db_default="", editable=False
    )
    # Whether it ever sent a heartbeat, and until when the last good answer keeps it alive.
    has_beaten = models.BooleanField(default=False, db_default=False, editable=False)
    last_answer_at = models.DateTimeField(null=True, blank=True, editable=False)
    answered_until = models.DateTimeField(null=True, blank=True, editable=False)
    registered_at = models.DateTimeField(auto_now_add=True)
    metadata = metadata_field()

    class Meta:
        db_table = "service_instance"
        ordering = ("service", "url")
        constraints = (
            enum_check("service_instance", "status", ServiceStatus),
            ends_with_its_beginning("service_instance"),
            models.UniqueConstraint(
                fields=("service", "url"),
                name="service_instance_service_url_key",
                violation_error_message="This service has an instance with this URL.",
            ),
        )
        indexes = (
            # No index has a column that heartbeats change: so PostgreSQL updates the row in its
            # page and no index with it. The sweep reads those that are alive.
            models.Index(fields=("status",), name="instance_status_idx"),
            maintenance_index("instance"),
            models.Index(
                fields=("suspected_at",),
                name="instance_suspected_idx",
                condition=Q(suspected_at__isnull=False),
            ),
            models.Index(
                fields=("expired_at",),
                name="instance_expired_idx",
                condition=Q(expired_at__isnull=False),
            ),
            models.Index(
                fields=("next_probe_at",),
                name="instance_next_probe_idx",
                condition=~Q(health_url=""),
            ),
        )

    def __str__(self) -> str:
        return f"{self.service.name} at {self.url}"

    def preference(self) -> tuple[float, int, float]:
        signs = [at.timestamp() for at in (self.last_heartbeat_at, self.last_answer_at) if at]
        rank = SUSPECT_PREFERENCE if self.suspect else PREFERENCE[self.status]
        return rank, -self.weight, -max(signs, default=0.0)

    @property
    def suspect(self) -> bool:
        """Whether it may be gone: asked only if there is no other."""
        return self.suspected_at is not None

    @property
    def usable_status(self) -> str:
        """Its status as callers have to take it: that of its service where one is imposed."""
        return self.service.imposed_status or self.status

    def observed_status(self, reported: str) -> str:
        """The status of an instance that reports this one: without health it is not ONLINE."""
        failing = reported == ServiceStatus.ONLINE and self.unhealthy_since is not None
        return str(ServiceStatus.DEGRADED if failing else reported)

    @property
    def lives_by(self) -> Liveness:
        """The signs that keep it alive: HEARTBEAT, PROBE or EITHER."""
        chosen = self.service.liveness
        return liveness_of(chosen, has_beaten=self.has_beaten, health_url=self.health_url)

    def expiry_after_sign(self, at: datetime) -> datetime:
        """Return until when it lives if it beats or registers at that time."""
        return expiry_after_sign(
            self.lives_by,
            at=at,
            ttl_seconds=self.ttl_seconds,
            before=self.expires_at,
            answered_until=self.answered_until,
        )

    def record_heartbeat(
        self,
        *,
        at: datetime,
        status: str,
        metadata: Mapping[str, Any] | None = None,
        is_registration: bool = False,
    ) -> dict[str, Any]:
        """Take a sign of life and return the columns that it changes, with their new values.

        MAINTENANCE stays, everything else yields to the status that was reported. What lives by its
        health URL alone, and fell silent there, is not brought back. A registration counts as a
        sign of life, but not as a heartbeat.
        """
        before = {name: getattr(self, name) for name in HEARTBEAT_COLUMNS}
        self.has_beaten = self.has_beaten or not is_registration
        if self.lives_by is not Liveness.PROBE or self.expired_at is None:
            self._live_on(at=at, status=status)
        changes = {
            name: value for name, was in before.items() if (value := getattr(self, name)) != was
        }
        if metadata is not None and not json_equal(metadata, self.metadata):
            self.metadata = changes["metadata"] = dict(metadata)
        self.last_heartbeat_at = changes["last_heartbeat_at"] = at
        return changes

    def _live_on(self, *, at: datetime, status: str) -> None:
        if self.status == ServiceStatus.OFFLINE:
            self.expires_at = None
        self.expires_at = self.expiry_after_sign(at)
        self.expired_at = self.suspected_at = None
        if self.status != ServiceStatus.MAINTENANCE:
            self.status = self.observed_status(status)
            if self.status == ServiceStatus.MAINTENANCE:
                self.begin_maintenance(at=at)
