"""Services, where they run and what they can do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q, Value

from core.db.json_fields import CheckedJSONField, object_field, strings_field, validate_object
from core.db.models import NamedQuerySet, ReferencedModel, TimestampedModel, name_constraint
from core.db.names import validate_action_name
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from core.json.equality import json_equal
from core.json.schema import check_schema
from core.json.unknown_fields import UnknownFields
from registry.calls.circuits.profile import validate_breaker
from registry.calls.limits.rules import validate_limits
from registry.health.liveness import Liveness, expiry_after_sign, liveness_of
from registry.health.probe_policy import validate_probing
from registry.models.address_fields import UrlField
from registry.models.address_fields import (
    validate_service_url as validate_service_url,  # of migrations
)
from registry.models.maintenance import (
    MaintainedModel,
    ends_with_its_beginning,
    maintenance_index,
)

validate_path = RegexValidator(
    r"\A/[^\s\x00-\x1f\x7f?#\\]*\Z",
    "Must begin with / and have no blanks, query or fragment, such as /projects/{project_id}.",
)


class ServiceType(Vocabulary):
    """What role a service has among the others."""

    AGENT_ORCHESTRATOR = "AGENT_ORCHESTRATOR", "Agent orchestrator"
    MODEL_ORCHESTRATION = "MODEL_ORCHESTRATION", "Model orchestration"
    PLANNING_SYSTEM = "PLANNING_SYSTEM", "Planning system"
    TOOL_INTEGRATION = "TOOL_INTEGRATION", "Tool integration"
    PROJECT_COORDINATOR = "PROJECT_COORDINATOR", "Project coordinator"
    SERVICE_INTEGRATION = "SERVICE_INTEGRATION", "Service integration"
    API_GATEWAY = "API_GATEWAY", "API gateway"
    WEB_DASHBOARD = "WEB_DASHBOARD", "Web dashboard"
    EXTERNAL_API = "EXTERNAL_API", "External API"
    CUSTOM = "CUSTOM", "Custom"


class ServiceStatus(Vocabulary):
    """Whether something can be used."""

    ONLINE = "ONLINE", "Online"
    DEGRADED = "DEGRADED", "Degraded"
    OFFLINE = "OFFLINE", "Offline"
    MAINTENANCE = "MAINTENANCE", "Maintenance"
    UNKNOWN = "UNKNOWN", "Unknown"

    @classmethod
    def aliases(cls) -> dict[str, str]:
        return {"ACTIVE": "ONLINE", "INACTIVE": "OFFLINE"}


class Criticality(Vocabulary):
    """How much depends on a service: selects the defaults of its circuit breakers."""

    CRITICAL = "CRITICAL", "Critical"
    NON_CRITICAL = "NON_CRITICAL", "Non-critical"


HEALTHY = (ServiceStatus.ONLINE, ServiceStatus.DEGRADED)
ALIVE = (*HEALTHY, ServiceStatus.UNKNOWN)


class ServiceQuerySet(NamedQuerySet["Service"]):
    """Selections of services."""

    def with_parts(self) -> Self:
        named = self.select_related("credential").defer("credential__ciphertext")
        return named.prefetch_related("actions", "instances")

    def healthy(self) -> Self:
        return self.filter(status__in=HEALTHY)


class Service(MaintainedModel, ReferencedModel):
    """A thing that can be called, under one name, wherever its instances run."""

    type = EnumField(vocabulary=ServiceType, default=ServiceType.CUSTOM)
    version = models.CharField(max_length=50, blank=True, default="")
    tags = strings_field()
    metadata = object_field()
    owner = models.CharField(max_length=100, blank=True, default="")
    status = EnumField(vocabulary=ServiceStatus, max_length=20, default=ServiceStatus.UNKNOWN)
    criticality = EnumField(vocabulary=Criticality, max_length=20, default=Criticality.NON_CRITICAL)
    # One object and not a column for each setting: most services have none, and what is not there
    # follows the criticality when that changes.
    breaker = CheckedJSONField(
        default=dict,
        blank=True,
        validators=[validate_breaker],
        help_text='What its circuit breakers do otherwise: {"failure_threshold": 10}.',
    )
    # Columns that came later have their default in the database too: a worker on the code of
    # before goes on while a hub is brought up to date.
    probing = CheckedJSONField(
        default=dict,
        db_default=Value({}, models.JSONField()),
        blank=True,
        validators=[validate_probing],
        help_text='How its health URLs are asked otherwise: {"failure_threshold": 5}.',
    )
    liveness = EnumField(
        vocabulary=Liveness,
        max_length=20,
        default=Liveness.AUTO,
        db_default=Liveness.AUTO,
        help_text="What keeps its instances alive.",
    )
    limits = CheckedJSONField(
        default=dict,
        db_default=Value({}, models.JSONField()),
        blank=True,
        validators=[validate_limits],
        help_text='How it is called at most: {"per_second": 5, "burst": 10, "max_concurrency": 4}.',
    )
    credential = models.ForeignKey(
        "registry.Credential",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="services",
        help_text="What every call of its actions carries, to the origins of the credential only.",
    )

    objects = ServiceQuerySet.as_manager()

    class Meta:
        db_table = "registered_service"
        ordering = ("name",)
        constraints = (
            enum_check("registered_service", "type", ServiceType),
            enum_check("registered_service", "status", ServiceStatus),
            enum_check("registered_service", "criticality", Criticality),
            enum_check("registered_service", "liveness", Liveness),
            ends_with_its_beginning("registered_service"),
            name_constraint("registered_service", "A service"),
        )
        indexes = (
            models.Index(fields=("type", "status", "name"), name="service_type_status_name_idx"),
            models.Index(fields=("status", "name"), name="service_status_name_idx"),
            maintenance_index("service"),
        )

    @property
    def in_maintenance(self) -> bool:
        """Whether it is under maintenance itself, whatever its instances are."""
        return self.maintenance_since is not None

    def hold_parts(self, **parts: list[Any]) -> None:
        """Take these rows for all of its instances or actions, as a prefetch would."""
        for name, rows in parts.items():
            held = getattr(self, name).all()
            held._result_cache, held._prefetch_done = rows, True
            self.__dict__.setdefault("_prefetched_objects_cache", {})[name] = held

    def preferred_instance(self) -> ServiceInstance | None:
        """The instance whose address is the service's: the healthiest, then the latest beat."""
        return min(self.instances.all(), key=ServiceInstance.preference, default=None)


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
    metadata = object_field()

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
            models.Index(fields=("status", "last_heartbeat_at"), name="instance_status_beat_idx"),
            maintenance_index("instance"),
            # The sweep reads only what is alive and due, however many instances are gone.
            models.Index(
                F("expires_at"),
                name="instance_expiry_idx",
                condition=Q(status__in=("ONLINE", "DEGRADED", "UNKNOWN")),
            ),
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
        """Its status as callers have to take it: MAINTENANCE while its service is under it."""
        return ServiceStatus.MAINTENANCE if self.service.in_maintenance else self.status

    def observed_status(self, reported: str) -> str:
        """The status of an instance that reports this one: without health it is not ONLINE."""
        failing = reported == ServiceStatus.ONLINE and self.unhealthy_since is not None
        return str(ServiceStatus.DEGRADED if failing else reported)

    @property
    def lives_by(self) -> Liveness:
        """What keeps it alive: HEARTBEAT, PROBE or EITHER."""
        chosen = self.service.liveness
        return liveness_of(chosen, has_beaten=self.has_beaten, health_url=self.health_url)

    def expiry_after_sign(self, at: datetime) -> datetime:
        """Until when it lives if it beats or registers at that time."""
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


class HttpMethod(Vocabulary):
    """How an action is called."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"


def validate_schema(value: Any) -> None:
    """Refuse what is not a JSON Schema."""
    validate_object(value)
    problem = check_schema(value)
    if problem:
        raise ValidationError(f"Not a valid JSON Schema: {problem}")


class ServiceAction(TimestampedModel):
    """One thing that a service can do, and the shape of what it takes and answers."""

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="actions")
    name = models.CharField(max_length=100, validators=[validate_action_name])
    description = models.TextField(blank=True, default="", max_length=5000)
    method = EnumField(vocabulary=HttpMethod, max_length=20, default=HttpMethod.POST)
    path = models.CharField(max_length=500, blank=True, default="", validators=[validate_path])
    input_schema = CheckedJSONField(default=dict, blank=True, validators=[validate_schema])
    output_schema = CheckedJSONField(default=dict, blank=True, validators=[validate_schema])
    timeout_seconds = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.1), MaxValueValidator(3600)]
    )
    idempotent = models.BooleanField(
        default=True,
        help_text="May be sent again when it is not known whether the first call arrived.",
    )
    # Empty: the schema itself says whether other fields may be there.
    unknown_fields = EnumField(
        vocabulary=UnknownFields,
        max_length=20,
        null=True,
        blank=True,
        default=None,
        help_text="What happens to fields that the input schema does not name.",
    )

    class Meta:
        db_table = "service_action"
        ordering = ("service", "name")
        constraints = (
            enum_check("service_action", "method", HttpMethod),
            enum_check("service_action", "unknown_fields", UnknownFields),
            models.UniqueConstraint(
                fields=("service", "name"), name="service_action_service_name_key"
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def whole_name(self) -> str:
        """Its name with that of its service, which alone says which it is."""
        return f"{self.service.name}: {self.name}"


class RegistryChangeKind(Vocabulary):
    """What happened to a service, for those who watch discovery."""

    REGISTERED = "REGISTERED", "Registered"
    UPDATED = "UPDATED", "Updated"
    STATUS_CHANGED = "STATUS_CHANGED", "Status changed"
    UNREGISTERED = "UNREGISTERED", "Unregistered"


class RegistryChange(models.Model):
    """One entry of the log that watchers follow; `index` only grows, without late arrivals."""

    index = models.BigAutoField(primary_key=True)
    service_id = models.UUIDField()
    service_name = models.CharField(max_length=100)
    kind = EnumField(vocabulary=RegistryChangeKind)
    status = EnumField(vocabulary=ServiceStatus, max_length=20)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "registry_change"
        ordering = ("index",)
        indexes = (
            models.Index(fields=("service_id", "index"), name="registry_change_service_idx"),
        )
        constraints = (
            enum_check("registry_change", "kind", RegistryChangeKind),
            enum_check("registry_change", "status", ServiceStatus),
        )

    def __str__(self) -> str:
        return f"{self.index} {self.service_name} {self.kind}"
