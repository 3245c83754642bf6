"""What is used up of limits, where no Redis is shared: one row for a rate, one for each seat."""

from __future__ import annotations

from django.db import models

from core.db.models import TimestampedModel


class CallRate(TimestampedModel):
    """The moment by which the calls so far are paid for, at the rate of a service or connection.

    There is no foreign key: the row is a counter and may outlive what it counted for.
    """

    subject_id = models.UUIDField(unique=True)
    paid_until = models.DateTimeField()

    class Meta:
        db_table = "call_rate"

    def __str__(self) -> str:
        return f"{self.subject_id} until {self.paid_until}"


class CallSeat(TimestampedModel):
    """One of the calls that a service or connection takes at once; free when its time is over."""

    subject_id = models.UUIDField()
    number = models.PositiveIntegerField()
    owner = models.CharField(max_length=100, blank=True, default="")
    until = models.DateTimeField()

    class Meta:
        db_table = "call_seat"
        constraints = (
            models.UniqueConstraint(
                fields=("subject_id", "number"), name="call_seat_subject_number_key"
            ),
        )
        indexes = (models.Index(fields=("owner",), name="call_seat_owner_idx"),)

    def __str__(self) -> str:
        return f"{self.subject_id} {self.number}"
