"""Writes that were done, remembered by the key that their callers gave them."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models

from core.db.models import AppendedModel
from core.db.retention import drop_first


class IdempotencyRecord(AppendedModel):
    """What a write with an `Idempotency-Key` was answered; `status_code` is 0 until it is known.

    Key and body are kept as digests: a body may hold a secret.
    """

    caller = models.CharField(max_length=150)
    key_digest = models.CharField(max_length=64)
    request_digest = models.CharField(max_length=64)
    status_code = models.PositiveSmallIntegerField(default=0)
    body = models.JSONField(null=True)
    headers = models.JSONField(default=dict)

    class Meta:
        db_table = "idempotency_record"
        constraints = (
            models.UniqueConstraint(
                fields=("caller", "key_digest"), name="idempotency_record_caller_key"
            ),
        )
        indexes = (models.Index(fields=("created_at",), name="idempotency_created_idx"),)

    def __str__(self) -> str:
        return f"{self.caller} {self.status_code or 'under way'}"


def forget_answers(*, now: datetime, limit: int = 1000) -> int:
    """Forget at most `limit` answers to repeated writes that are a day old; return how many."""
    old = IdempotencyRecord.objects.filter(created_at__lt=now - timedelta(days=1))
    return drop_first(old.order_by("created_at"), limit=limit)
