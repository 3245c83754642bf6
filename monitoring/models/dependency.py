"""What services need: which depends on which, and how much."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from core.db.models import TimestampedModel
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from registry.models import Service


class DependencyKind(Vocabulary):
    """How much a service needs another."""

    HARD = "HARD", "Does not work without it"
    SOFT = "SOFT", "Works without it, if less well"


class ServiceDependency(TimestampedModel):
    """A service needs another; those that are HARD decide of whom people are told."""

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="needs")
    depends_on = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="needed_by")
    kind = EnumField(vocabulary=DependencyKind, max_length=10, default=DependencyKind.HARD)

    class Meta:
        db_table = "service_dependency"
        verbose_name = "dependency"
        verbose_name_plural = "dependencies"
        ordering = ("service__name", "depends_on__name")
        constraints = (
            enum_check("service_dependency", "kind", DependencyKind),
            models.UniqueConstraint(
                fields=("service", "depends_on"), name="service_dependency_pair_key"
            ),
            models.CheckConstraint(
                name="service_dependency_other_check", condition=~Q(service=F("depends_on"))
            ),
        )

    def __str__(self) -> str:
        return f"{self.service.name} needs {self.depends_on.name}"
