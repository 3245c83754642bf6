"""How often logins failed of late, by what they were tried with."""

from __future__ import annotations

from django.db import models

from core.db.models import TimestampedModel


class LoginFailure(TimestampedModel):
    """Attempts to log in that did not succeed, counted under one key.

    The key is a digest of a name, an address, both together or a browser, as names that nobody has
    are often passwords that were typed into the wrong field.
    """

    key = models.CharField(max_length=64, unique=True)
    failures = models.PositiveIntegerField(default=0)
    failed_at = models.DateTimeField()
    delayed_until = models.DateTimeField(null=True)

    class Meta:
        db_table = "login_failure"
        indexes = (models.Index(fields=("failed_at",), name="login_failure_failed_idx"),)

    def __str__(self) -> str:
        return f"{self.failures} failed logins"
