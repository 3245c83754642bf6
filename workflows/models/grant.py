"""Grants: which calls of a version may use which credential."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from core.db.models import TimestampedModel
from core.models.audit import MAX_ACTOR, MAX_REASON
from workflows.models.workflow import WorkflowVersion


class CredentialGrantQuerySet(models.QuerySet["CredentialGrant"]):
    """Selections of grants."""

    def valid(self) -> CredentialGrantQuerySet:
        return self.filter(withdrawn_at__isnull=True)


class CredentialGrant(TimestampedModel):
    """The leave of a call of a version to use a credential of what it calls.

    `target_id` is of the service, connection or integration that the step names. One that was
    withdrawn stays, with who did so and why, until it is given again.
    """

    version = models.ForeignKey(WorkflowVersion, on_delete=models.CASCADE, related_name="grants")
    step = models.CharField(max_length=100)
    compensates = models.BooleanField(default=False)
    target_id = models.UUIDField()
    credential = models.ForeignKey(
        "registry.Credential", on_delete=models.CASCADE, related_name="+"
    )
    call = models.CharField(max_length=700, blank=True, default="")
    granted_by = models.CharField(max_length=MAX_ACTOR)
    granted_at = models.DateTimeField(default=timezone.now)
    withdrawn_by = models.CharField(max_length=MAX_ACTOR, blank=True, default="")
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=MAX_REASON, blank=True, default="")

    objects = CredentialGrantQuerySet.as_manager()

    class Meta:
        db_table = "credential_grant"
        ordering = ("version", "step")
        constraints = (
            models.UniqueConstraint(
                fields=("version", "step", "compensates", "target_id", "credential"),
                name="credential_grant_call_key",
            ),
        )

    def __str__(self) -> str:
        return f"{self.step} of {self.version_id}"
