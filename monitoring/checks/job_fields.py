"""When a job is to call, as it is given: a cron expression or an interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.exceptions import ValidationFailed
from core.timetables import CronRefused, read_timetable
from monitoring.models import CheckKind, HealthCheck
from monitoring.models.check import DAY_SECONDS


def assign_cron(check: HealthCheck, fields: Mapping[str, Any]) -> None:
    """Set when a job is to call, as far as it is given. Raises: ValidationFailed."""
    for name in ("cron", "timezone"):
        if name in fields:
            setattr(check, name, " ".join((fields[name] or "").split()))
    check.timezone = check.timezone or "UTC"
    if check.kind != CheckKind.PUSH:
        return
    try:
        read_timetable(check.cron or "* * * * *", check.timezone)
    except CronRefused as error:
        raise ValidationFailed.at(error.field, str(error)) from None


def check_job(check: HealthCheck, fields: Mapping[str, Any]) -> None:
    """Refuse what a check of a job cannot have, and of others what only jobs have.

    Raises: ValidationFailed.
    """
    if check.kind != CheckKind.PUSH:
        if check.cron:
            raise ValidationFailed.at("cron", "Only a check of the kind PUSH goes by a cron.")
        if (check.interval_seconds or 0) > DAY_SECONDS:
            raise ValidationFailed.at("interval_seconds", f"Must be at most {DAY_SECONDS:,}.")
        return
    if check.service is not None:
        raise ValidationFailed.at("service", "A job calls by itself: it is of no service.")
    if check.cron and check.interval_seconds:
        raise ValidationFailed.at("interval_seconds", "Give a cron or an interval, not both.")
    if not check.cron and not check.interval_seconds:
        sentence = "How often does the job call? Give interval_seconds, or cron."
        raise ValidationFailed.at("cron" if "cron" in fields else "interval_seconds", sentence)
