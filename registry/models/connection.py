"""Connections: what is reached without being a registered service, and how it answered last."""

from __future__ import annotations

from typing import Self

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from core.db.json_fields import CheckedJSONField, object_field
from core.db.models import NamedQuerySet, ReferencedModel, name_constraint
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from registry.models.address_fields import HostField, UrlField
from registry.models.service import (
    Criticality,
)
from registry.policies.circuit_profile import validate_breaker
from registry.policies.rate_limits import validate_limits

LONGEST_INTERVAL_SECONDS = 86_400


class ConnectionType(Vocabulary):
    """The types of what is at the other end."""

    HTTP = "HTTP", "HTTP"
    GRAPHQL = "GRAPHQL", "GraphQL"
    WEBHOOK = "WEBHOOK", "Webhook"
    DATABASE = "DATABASE", "Database"
    MESSAGE_BROKER = "MESSAGE_BROKER", "Message broker"
    CACHE = "CACHE", "Cache"


class ConnectionDriver(Vocabulary):
    """The protocols that connections speak."""

    HTTP = "HTTP", "HTTP"
    POSTGRESQL = "POSTGRESQL", "PostgreSQL"
    MYSQL = "MYSQL", "MySQL or MariaDB"
    AMQP = "AMQP", "AMQP"
    REDIS = "REDIS", "Redis"

    @classmethod
    def aliases(cls) -> dict[str, str]:
        return {"POSTGRES": "POSTGRESQL", "MARIADB": "MYSQL", "RABBITMQ": "AMQP"}


class ConnectionStatus(Vocabulary):
    """Statuses: what the last tests said, or that an operator switched it off."""

    PENDING = "PENDING", "Pending"
    CONNECTED = "CONNECTED", "Connected"
    DEGRADED = "DEGRADED", "Degraded"
    ERROR = "ERROR", "Error"
    DISABLED = "DISABLED", "Disabled"


class ConnectionQuerySet(NamedQuerySet["Connection"]):
    """Selections of connections."""

    def with_parts(self) -> Self:
        return self.select_related("credential").defer("credential__ciphertext")


class Connection(ReferencedModel):
    """A place that is called or asked, by URL or by host and port; its secret is a credential."""

    type = EnumField(vocabulary=ConnectionType)
    driver = EnumField(vocabulary=ConnectionDriver, default=ConnectionDriver.HTTP)
    status = EnumField(vocabulary=ConnectionStatus, max_length=20, default=ConnectionStatus.PENDING)
    base_url = UrlField(is_base=True, blank=True, default="")
    host = HostField(blank=True, default="")
    port = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(65535)]
    )
    database = models.CharField(max_length=200, blank=True, default="")
    username = models.CharField(max_length=200, blank=True, default="")
    credential = models.ForeignKey(
        "registry.Credential",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="connections",
        help_text="What it is reached with, at the origins of the credential only.",
    )
    config = object_field()
    criticality = EnumField(vocabulary=Criticality, max_length=20, default=Criticality.NON_CRITICAL)
    breaker = CheckedJSONField(
        default=dict,
        blank=True,
        validators=[validate_breaker],
        help_text='What its circuit breaker does otherwise: {"failure_threshold": 10}.',
    )
    limits = CheckedJSONField(
        default=dict,
        blank=True,
        validators=[validate_limits],
        help_text='How it is called at most: {"per_second": 5, "burst": 10, "max_concurrency": 4}.',
    )

    check_interval_seconds = models.PositiveIntegerField(
        default=60,
        validators=[MaxValueValidator(LONGEST_INTERVAL_SECONDS)],
        help_text="How often it is tested by itself; 0 for never.",
    )
    next_check_at = models.DateTimeField(default=timezone.now, editable=False)
    # Tests that failed in a row.
    check_failures = models.PositiveIntegerField(default=0, editable=False)
    last_checked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_error = models.CharField(max_length=1000, blank=True, default="", editable=False)
    last_result = object_field(editable=False)

    disabled_at = models.DateTimeField(null=True, blank=True, editable=False)
    disabled_by = models.CharField(max_length=100, blank=True, default="", editable=False)
    disabled_reason = models.CharField(max_length=500, blank=True, default="", editable=False)

    objects = ConnectionQuerySet.as_manager()

    class Meta:
        db_table = "connection"
        ordering = ("name",)
        constraints = (
            enum_check("connection", "type", ConnectionType),
            enum_check("connection", "driver", ConnectionDriver),
            enum_check("connection", "status", ConnectionStatus),
            enum_check("connection", "criticality", Criticality),
            name_constraint("connection", "A connection"),
        )
        indexes = (
            models.Index(fields=("type", "status", "name"), name="connection_type_status_idx"),
            models.Index(fields=("status", "name"), name="connection_status_name_idx"),
            # The sweep reads only what is tested by itself.
            models.Index(
                fields=("next_check_at",),
                name="connection_next_check_idx",
                condition=Q(check_interval_seconds__gt=0, disabled_at__isnull=True),
            ),
        )

    @property
    def is_disabled(self) -> bool:
        return self.disabled_at is not None

    @property
    def address(self) -> str:
        """Its address in one text, without secrets."""
        if self.driver == ConnectionDriver.HTTP:
            return self.base_url
        shown = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port else ""
        return f"{self.driver.lower()}://{shown}{port}" + (
            f"/{self.database}" if self.database else ""
        )
