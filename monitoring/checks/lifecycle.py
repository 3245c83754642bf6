"""Checks are made, changed, paused and deleted."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog
from django.db import transaction
from django.utils import timezone

from core import audit
from core.db.locking import columns_of, lock_row, save_if_changed, unique_name
from core.db.validation import check_columns
from core.exceptions import Conflict, NotFound, ValidationFailed
from core.json.merge_patch import resolved
from core.models import AuditVerb
from monitoring.checks import decide
from monitoring.checks.job_fields import assign_cron, check_job
from monitoring.checks.jobs import due_of
from monitoring.checks.kinds import check_conditions, check_request, check_url
from monitoring.checks.push_tokens import issue_token
from monitoring.checks.reading import PLANNED, job_of, plan_of
from monitoring.checks.store import FACTS
from monitoring.checks.subjects import first_state, make_states
from monitoring.models import CheckKind, CheckState, HealthCheck
from registry.models import Service

logger = structlog.get_logger(__name__)

PLAIN = (
    "name", "description", "timeout_seconds", "severity", "enabled", "owner", "tags", *PLANNED,
    "grace_seconds",
)  # fmt: skip
# What the hub's own checks of health URLs are told by their service.
_OF_SERVICE = ("interval_seconds", "failure_threshold", "success_threshold")


def get_check(reference: str) -> HealthCheck:
    """Return the check of that id or name. Raises: NotFound."""
    return HealthCheck.objects.select_related("service").get_named(reference)


def create_check(fields: Mapping[str, Any], *, actor: str) -> HealthCheck:
    """Make a check; its first look is due within seconds.

    Raises:
        ValidationFailed: a field breaks a rule.
        Conflict: the name is taken.
        VaultError: there is no key to seal the token of a job with.
    """
    check = HealthCheck(kind=CheckKind.parse(fields["kind"]))
    _assign(check, fields)
    if check.kind == CheckKind.PUSH:
        issue_token(check)
    with unique_name(check, fields), transaction.atomic():
        check.save(force_insert=True)
        _make_subjects(check)
        audit.record(AuditVerb.CREATED, check)
    logger.info("check_created", check=check.name, actor=actor)
    return check


def update_check(
    check: HealthCheck, fields: Mapping[str, Any], *, actor: str, if_unchanged: bool = False
) -> HealthCheck:
    """Change what is given; what was seen before stays.

    Raises:
        ValidationFailed: a field breaks a rule, or the kind or service is another.
        Conflict: the name is taken.
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    with unique_name(check, fields), transaction.atomic():
        rows = HealthCheck.objects.select_related("service")
        locked = lock_row(check, if_unchanged=if_unchanged, rows=rows)
        kept, columns = audit.snapshot(locked), columns_of(locked)
        was_enabled = locked.enabled
        _assign(locked, fields)
        save_if_changed(locked, columns)
        audit.record_changes(locked, kept)
        if locked.enabled != was_enabled:
            _turn_states(locked, on=locked.enabled)
        elif locked.kind == CheckKind.PUSH:
            _move_due(locked)
    logger.info("check_changed", check=locked.name, actor=actor, fields=sorted(fields))
    return locked


def rotate_token(check: HealthCheck, *, actor: str) -> HealthCheck:
    """Give a job another address to call; at the one before, nothing is found from now on.

    Raises:
        Conflict: no job calls this check.
        VaultError: there is no key to seal the token with.
    """
    with transaction.atomic():
        locked = lock_row(check, rows=HealthCheck.objects.select_related("service"))
        if locked.kind != CheckKind.PUSH:
            raise Conflict("Only a check of the kind PUSH has an address that is called.")
        issue_token(locked)
        locked.save()
        audit.record(AuditVerb.ROTATED, locked)
    logger.info("check_token_rotated", check=locked.name, actor=actor)
    return locked


def delete_check(check: HealthCheck, *, actor: str, if_unchanged: bool = False) -> None:
    """Delete a check with all that it saw.

    Raises:
        Conflict: the hub made it for the health URLs of a service, and would make it anew.
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    with transaction.atomic():
        locked = lock_row(check, if_unchanged=if_unchanged)
        if locked.is_automatic:
            raise Conflict("The hub made this check for health URLs: switch it off instead.")
        audit.record(AuditVerb.DELETED, locked)
        locked.delete()
    logger.info("check_deleted", check=check.name, actor=actor)


def pause_check(check: HealthCheck, *, actor: str, until: datetime | None = None) -> HealthCheck:
    """Look at nothing until it is resumed, or until a time. Raises: Conflict."""
    return _switch(check, on=False, actor=actor, until=until)


def resume_check(check: HealthCheck, *, actor: str) -> HealthCheck:
    """Look at it again, within seconds. Raises: Conflict."""
    return _switch(check, on=True, actor=actor, until=None)


def _switch(check: HealthCheck, *, on: bool, actor: str, until: datetime | None) -> HealthCheck:
    if until is not None and until <= timezone.now():
        raise ValidationFailed.at("until", "Must be in the future.")
    with transaction.atomic():
        locked = lock_row(check, rows=HealthCheck.objects.select_related("service"))
        if locked.enabled == on:
            raise Conflict(f"This check is {'not paused' if on else 'paused already'}.")
        locked.enabled, locked.paused_until = on, until
        locked.save()
        _turn_states(locked, on=on)
        audit.record(AuditVerb.RESUMED if on else AuditVerb.PAUSED, locked)
    logger.info("check_resumed" if on else "check_paused", check=locked.name, actor=actor)
    return locked


def resume_due(*, now: datetime) -> None:
    """Resume the checks that were paused until a time that is past."""
    for check in HealthCheck.objects.filter(enabled=False, paused_until__lte=now):
        try:
            resume_check(check, actor="hub")
        except (Conflict, NotFound):
            continue


def _make_subjects(check: HealthCheck) -> None:
    now = timezone.now()
    if check.service_id is not None:
        make_states(now=now)
    elif check.enabled or check.kind == CheckKind.PUSH:
        first_state(check, None, now=now).save(force_insert=True)


def _turn_states(check: HealthCheck, *, on: bool) -> None:
    """Pause or resume the states of a check; what is under way of them is not written."""
    now = timezone.now()
    states = list(CheckState.objects.select_for_update().filter(health_check=check))
    if on and not states:
        _make_subjects(check)
    for state in states:
        facts = decide.SubjectFacts(**{name: getattr(state, name) for name in FACTS})
        after, _ = (decide.resume if on else decide.pause)(facts, now=now)
        for name in FACTS:
            setattr(state, name, getattr(after, name))
        state.fence += 1
        state.lease_until = None
        state.started_at = None
        state.next_due_at = now if on and check.kind != CheckKind.PUSH else None
        state.save()


def _move_due(check: HealthCheck) -> None:
    """Count from the last call of a job on by what its check says now."""
    plan = job_of(check)
    assert plan is not None
    for state in CheckState.objects.select_for_update().filter(health_check=check):
        facts = decide.SubjectFacts(**{name: getattr(state, name) for name in FACTS})
        state.next_due_at = due_of(facts, state.started_at, plan)
        state.fence += 1
        state.lease_until = None
        state.save()


# --- Fields ---


def check_fields(check: HealthCheck, fields: Mapping[str, Any]) -> HealthCheck:
    """Return a check with what would be given, held to every rule; nothing is stored.

    Raises:
        ValidationFailed: a field breaks a rule.
    """
    draft = copy.copy(check)
    _assign(draft, fields)
    return draft


def _assign(check: HealthCheck, fields: Mapping[str, Any]) -> None:
    fields = resolved(check, fields)
    is_new = check._state.adding
    _refuse_other_subject(check, fields)
    for name in PLAIN:
        if name in fields:
            setattr(check, name, fields[name])
    if is_new and fields.get("service"):
        check.service = Service.objects.get_given("service", fields["service"])
    assign_cron(check, fields)
    if "url" in fields:
        if fields["url"] and check.kind == CheckKind.PUSH:
            raise ValidationFailed.at("url", "A job calls the hub: it has no URL of its own.")
        check.url = check_url(check.kind, fields["url"]) if fields["url"] else ""
    if "request" in fields or is_new:
        check.request = check_request(check.kind, fields.get("request"))
    if "conditions" in fields or is_new:
        check.conditions = check_conditions(check.kind, fields.get("conditions"))
    check_job(check, fields)
    _check_subject(check)
    _check_times(check)
    check_columns(check, exclude=("service", "request", "conditions"))


def _refuse_other_subject(check: HealthCheck, fields: Mapping[str, Any]) -> None:
    if check._state.adding:
        return
    if "kind" in fields and CheckKind.parse(fields["kind"]) != check.kind:
        raise ValidationFailed.at("kind", "The kind stays: make another check.")
    name = check.service.name if check.service else None
    if "service" in fields and (fields["service"] or None) != name:
        raise ValidationFailed.at("service", "The service stays: make another check.")
    for field in _OF_SERVICE if check.is_automatic else ():
        if fields.get(field) is not None:
            sentence = f"For health URLs the service says this: set its probing.{field}."
            raise ValidationFailed.at(field, sentence)


def _check_subject(check: HealthCheck) -> None:
    if check.kind == CheckKind.PUSH:
        return
    if check.service is not None and check.url:
        raise ValidationFailed.at("url", "Give a service or a URL, not both.")
    if check.kind == CheckKind.HEARTBEAT and check.service is None:
        raise ValidationFailed.at("service", "Whose heartbeats? Give a service.")
    if check.service is None and not check.url:
        raise ValidationFailed.at("url", "What is to be looked at? Give a URL, or a service.")
    if check.service is None and check.request.get("path"):
        raise ValidationFailed.at("request.path", "The path is part of the URL.")
    if check.service is not None and check.kind == CheckKind.DNS:
        raise ValidationFailed.at("service", "A check of a name needs a URL.")


def _check_times(check: HealthCheck) -> None:
    if check.kind == CheckKind.PUSH:
        return
    interval = plan_of(check).interval_seconds
    if check.timeout_seconds is not None and check.timeout_seconds > interval:
        sentence = f"Must be at most the interval, which is {interval} s."
        raise ValidationFailed.at("timeout_seconds", sentence)
