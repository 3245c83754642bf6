"""The log of changes that watchers of discovery follow."""

from __future__ import annotations

from django.db import models

from core.db.vocabulary import EnumField, Vocabulary, enum_check
from registry.models.service import ServiceStatus


class RegistryChangeKind(Vocabulary):
    """Kinds of changes of a service, for those who watch discovery."""

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
