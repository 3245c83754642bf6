"""The audit trail: what persons, and programs on their behalf, did to what the hub holds."""

from __future__ import annotations

import re
from typing import Any, NoReturn, Self

from django.db import models

from core.db.json_fields import object_field
from core.db.models import AppendedModel
from core.db.vocabulary import EnumField, Vocabulary, enum_check

MAX_ACTOR = 150  # as long as the name of a person may be
MAX_REASON = 500


class ActorKind(Vocabulary):
    """Who can act: a person who is logged in, a program with a key, a caller without either."""

    USER = "USER", "Person"
    API_KEY = "API_KEY", "API key"
    ANONYMOUS = "ANONYMOUS", "Without a key"


class AuditVerb(Vocabulary):
    """What can be done to an object."""

    CREATED = "CREATED", "Created"
    CHANGED = "CHANGED", "Changed"
    DELETED = "DELETED", "Deleted"
    STATUS_SET = "STATUS_SET", "Status set"
    MAINTENANCE_STARTED = "MAINTENANCE_STARTED", "Maintenance started"
    MAINTENANCE_ENDED = "MAINTENANCE_ENDED", "Maintenance ended"
    FORCED_OPEN = "FORCED_OPEN", "Forced open"
    CLOSED = "CLOSED", "Closed"
    RESET = "RESET", "Reset"
    ENABLED = "ENABLED", "Enabled"
    DISABLED = "DISABLED", "Disabled"
    ROTATED = "ROTATED", "Secret rotated"
    REVOKED = "REVOKED", "Revoked"
    PASSWORD_SET = "PASSWORD_SET", "Password set"
    ACTIVATED = "ACTIVATED", "Activated"
    RETIRED = "RETIRED", "Retired"
    REINSTATED = "REINSTATED", "Reinstated"
    STARTED = "STARTED", "Started"
    CALLED = "CALLED", "Called"
    TESTED = "TESTED", "Tested"
    CANCELLED = "CANCELLED", "Cancelled"
    PAUSED = "PAUSED", "Paused"
    RESUMED = "RESUMED", "Resumed"
    RETRIED = "RETRIED", "Retried"
    RERUN = "RERUN", "Run again"
    SIGNALLED = "SIGNALLED", "Signalled"
    APPROVED = "APPROVED", "Approved"
    REJECTED = "REJECTED", "Rejected"
    COMPLETED = "COMPLETED", "Step completed"
    FAILED = "FAILED", "Step failed"
    BACKFILLED = "BACKFILLED", "Backfilled"
    ACKNOWLEDGED = "ACKNOWLEDGED", "Acknowledged"
    RESOLVED = "RESOLVED", "Resolved"
    EXPIRED = "EXPIRED", "Taken offline"
    KEPT = "KEPT", "Kept alive"
    LOGIN_DELAYED = "LOGIN_DELAYED", "Login slowed down"
    GRANTED = "GRANTED", "Credential granted"
    WITHDRAWN = "WITHDRAWN", "Grant withdrawn"


class AuditEntryQuerySet(models.QuerySet["AuditEntry"]):
    """Selections of entries; none of them can be changed."""

    def about(self, row: models.Model) -> Self:
        return self.filter(object_type=object_type_of(row), object_id=str(row.pk))

    def update(self, **_: Any) -> NoReturn:
        raise TypeError("Entries of the audit trail are not changed.")


class AuditEntry(AppendedModel):
    """One act; it stays when its object, or who acted, goes."""

    actor_kind = EnumField(vocabulary=ActorKind, max_length=20)
    actor_id = models.CharField(max_length=64, blank=True, default="")
    actor = models.CharField(max_length=MAX_ACTOR)
    verb = EnumField(vocabulary=AuditVerb)
    object_type = models.CharField(max_length=50)
    object_id = models.CharField(max_length=64)
    object_name = models.CharField(max_length=300)
    reason = models.CharField(max_length=MAX_REASON, blank=True, default="")
    changes = object_field(help_text="By field: what it was, and what it is.")
    request_id = models.CharField(max_length=128, blank=True, default="")

    objects = AuditEntryQuerySet.as_manager()

    class Meta:
        db_table = "audit_entry"
        ordering = ("-id",)
        verbose_name = "audit entry"
        verbose_name_plural = "audit entries"
        constraints = (
            enum_check("audit_entry", "actor_kind", ActorKind),
            enum_check("audit_entry", "verb", AuditVerb),
        )
        indexes = (
            models.Index(fields=("object_type", "object_id", "-id"), name="audit_entry_object_idx"),
            models.Index(fields=("actor", "-id"), name="audit_entry_actor_idx"),
            models.Index(fields=("verb", "-id"), name="audit_entry_verb_idx"),
        )

    def __str__(self) -> str:
        return f"{self.actor}: {self.get_verb_display()} {self.object_name}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Append it.

        Raises:
            TypeError: it is there already.
        """
        if not self._state.adding:
            raise TypeError("Entries of the audit trail are not changed.")
        super().save(*args, **kwargs)


def object_type_of(row: models.Model | type[models.Model]) -> str:
    """Return the word for a kind of object, such as `service_instance`."""
    model = row if isinstance(row, type) else type(row)
    return re.sub(r"(?<!^)(?=[A-Z])", "_", model.__name__).lower()
