"""Ids that services gave themselves where they came from, each of one of their instances."""

from __future__ import annotations

from django.db import models

from core.db.models import TimestampedModel
from registry.models.instance import ServiceInstance

LONGEST_ALIAS = 200


class ServiceAlias(TimestampedModel):
    """An id by which an instance is known beside its own."""

    is_part = True  # it goes with its instance

    alias = models.CharField(max_length=LONGEST_ALIAS, unique=True)
    instance = models.ForeignKey(ServiceInstance, on_delete=models.CASCADE, related_name="aliases")

    class Meta:
        db_table = "service_alias"
        ordering = ("alias",)
        verbose_name_plural = "service aliases"

    def __str__(self) -> str:
        return self.alias
