"""Services: what can be called, under one name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from django.db import models
from django.db.models import Value

from core.db.json_fields import CheckedJSONField, metadata_field, tags_field
from core.db.models import NamedQuerySet, ReferencedModel, name_constraint
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from registry.models.maintenance import (
    MaintainedModel,
    ends_with_its_beginning,
    maintenance_index,
)
from registry.policies.circuit_profile import validate_breaker
from registry.policies.liveness import Liveness
from registry.policies.probing import validate_probing
from registry.policies.rate_limits import validate_limits
from registry.policies.registering import Acceptance

if TYPE_CHECKING:
    from registry.models.instance import ServiceInstance


class ServiceType(Vocabulary):
    """The roles that services have among the others."""

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
    """The statuses of services and instances, by whether they can be used."""

    ONLINE = "ONLINE", "Online"
    DEGRADED = "DEGRADED", "Degraded"
    OFFLINE = "OFFLINE", "Offline"
    MAINTENANCE = "MAINTENANCE", "Maintenance"
    UNKNOWN = "UNKNOWN", "Unknown"
    PENDING = "PENDING", "Pending"

    @classmethod
    def aliases(cls) -> dict[str, str]:
        return {"ACTIVE": "ONLINE", "INACTIVE": "OFFLINE"}


class Criticality(Vocabulary):
    """Levels of how much depends on a service: they select the defaults of its circuit breakers."""

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
    tags = tags_field()
    metadata = metadata_field()
    owner = models.CharField(max_length=100, blank=True, default="")
    status = EnumField(vocabulary=ServiceStatus, max_length=20, default=ServiceStatus.UNKNOWN)
    acceptance = EnumField(
        vocabulary=Acceptance,
        max_length=20,
        default=Acceptance.ACCEPTED,
        db_default=Acceptance.ACCEPTED,
        editable=False,
    )
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
            enum_check("registered_service", "acceptance", Acceptance),
            enum_check("registered_service", "criticality", Criticality),
            enum_check("registered_service", "liveness", Liveness),
            ends_with_its_beginning("registered_service"),
            name_constraint("registered_service", "A service"),
        )
        indexes = (
            models.Index(fields=("type", "status", "name"), name="service_type_status_name_idx"),
            models.Index(fields=("status", "name"), name="service_status_name_idx"),
            # Lists are by name, mostly of several statuses: without it each page sorts them all.
            models.Index(fields=("name",), name="service_name_idx"),
            models.Index(fields=("owner",), name="service_owner_idx"),
            maintenance_index("service"),
        )

    @property
    def in_maintenance(self) -> bool:
        """Whether it is under maintenance itself, whatever its instances are."""
        return self.maintenance_since is not None

    @property
    def imposed_status(self) -> str:
        """The status that it has whatever its instances say; empty where theirs counts."""
        if self.acceptance == Acceptance.PENDING:
            return ServiceStatus.PENDING
        if self.acceptance == Acceptance.REFUSED:
            return ServiceStatus.OFFLINE
        return ServiceStatus.MAINTENANCE if self.in_maintenance else ""

    def hold_parts(self, **parts: list[Any]) -> None:
        """Take these rows for all of its instances or actions, as a prefetch would."""
        for name, rows in parts.items():
            held = getattr(self, name).all()
            held._result_cache, held._prefetch_done = rows, True
            self.__dict__.setdefault("_prefetched_objects_cache", {})[name] = held

    def preferred_instance(self) -> ServiceInstance | None:
        """The instance whose address is the service's: the healthiest, then the latest beat."""
        return min(self.instances.all(), key=lambda instance: instance.preference(), default=None)
