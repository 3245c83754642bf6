"""Silences: made, changed, ended, and entered on the incidents that they are of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction
from django.utils import timezone

from core import audit
from core.configured_rows import create_row, delete_row, put_fields, update_row
from core.db.locking import lock_row
from core.db.names import fit_name
from core.exceptions import Conflict, ValidationFailed
from core.json.merge_patch import resolved
from core.models import AuditVerb
from core.models.audit import MAX_ACTOR
from monitoring.alerts.decide import is_silenced_by
from monitoring.alerts.filters import read_subjects
from monitoring.alerts.holding import LOOKED_BACK, traits_of
from monitoring.models import AlertSilence, Incident, Subject, Suppression
from monitoring.timeline import add_entry

logger = structlog.get_logger(__name__)

MATCHERS = ("subjects", "services", "tags", "about")
PLAIN = ("name", "description", *MATCHERS, "starts_at", "ends_at")
LONGEST = timedelta(days=366)
MOST_SHOWN = 100
# Names in a silence are no longer.
LONGEST_NAME = 100


def get_silence(reference: str) -> AlertSilence:
    """Return the silence of that id or name.

    Raises:
        NotFound: there is none.
    """
    return AlertSilence.objects.get_named(reference)


def create_silence(fields: Mapping[str, Any], *, actor: str) -> AlertSilence:
    """Silence what is matched, from now on unless it says from when.

    Raises:
        ValidationFailed: a field breaks a rule, or it is over already.
        Conflict: the name is taken.
    """
    silence = create_row(_new(actor), fields, _assign)
    logger.info("silence_created", silence=silence.name, actor=actor)
    return silence


def update_silence(
    silence: AlertSilence, fields: Mapping[str, Any], *, actor: str, if_unchanged: bool = False
) -> AlertSilence:
    """Change what is given; one that is over begins again with an end that is to come.

    Raises:
        ValidationFailed: a field breaks a rule.
        Conflict: the name is taken.
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    changed = update_row(silence, fields, _assign, if_unchanged=if_unchanged)
    logger.info("silence_changed", silence=changed.name, actor=actor, fields=sorted(fields))
    return changed


def delete_silence(silence: AlertSilence, *, actor: str, if_unchanged: bool = False) -> None:
    """Forget a silence; what is still wrong is told then.

    Raises:
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    delete_row(silence, if_unchanged=if_unchanged)
    logger.info("silence_deleted", silence=silence.name, actor=actor)


def expire_silence(silence: AlertSilence, *, actor: str) -> AlertSilence:
    """End a silence now; what is still wrong is told after its wait.

    Raises:
        Conflict: it is over already.
    """
    now = timezone.now()
    with transaction.atomic():
        locked: AlertSilence = lock_row(silence)
        if locked.ends_at <= now:
            raise Conflict("It is over already.")
        locked.starts_at, locked.ends_at = min(locked.starts_at, now), now
        locked.save(update_fields=["starts_at", "ends_at", "updated_at"])
        audit.record(AuditVerb.CANCELLED, locked)
    logger.info("silence_expired", silence=locked.name, actor=actor)
    return locked


def silence_incident(
    incident: Incident, *, minutes: float, actor: str, comment: str = ""
) -> AlertSilence:
    """Silence all that is of an incident's kind and about the same, for so many minutes.

    Raises:
        Conflict: it is resolved, or nothing but its title tells it from others.
    """
    if incident.is_resolved:
        raise Conflict("This incident is resolved.")
    if incident.subject == Subject.MANUAL:
        raise Conflict("It was opened by hand: acknowledge it instead, and nobody is called.")
    now = timezone.now()
    at = f"{now:%Y-%m-%d %H.%M.%S} {str(incident.pk)[-4:]}"
    about = incident.about
    if len(about) > LONGEST_NAME:
        about = f"{about[: LONGEST_NAME - 1]}*"
    fields = {
        "name": f"{fit_name(str(incident))[:70].rstrip()} {at}",
        "description": comment,
        "subjects": [incident.subject],
        "services": [incident.service.name] if incident.service else [],
        "about": [about] if about else [],
        "ends_at": now + timedelta(minutes=minutes),
    }
    return create_silence(fields, actor=actor)


def preview_silence(fields: Mapping[str, Any]) -> list[Incident]:
    """Return the open incidents that would be silenced, the latest first; nothing is stored.

    Raises:
        ValidationFailed: a matcher breaks a rule.
    """
    silence = AlertSilence(**{name: fields[name] for name in MATCHERS if name in fields})
    _check_matchers(silence)
    return matched_by(silence)


def matched_by(silence: AlertSilence) -> list[Incident]:
    """Return the open incidents that a silence matches, the latest first."""
    rows = Incident.objects.unresolved().select_related("service").order_by("-id")
    return [each for each in rows if is_silenced_by(silence, traits_of(each))][:MOST_SHOWN]


def check_silence_fields(silence: AlertSilence, fields: Mapping[str, Any]) -> None:
    """Hold what would be given against every rule; nothing is stored.

    Raises:
        ValidationFailed: a field breaks a rule.
    """
    put_fields(silence, fields, _assign)


def _new(actor: str) -> AlertSilence:
    return AlertSilence(created_by=actor[:MAX_ACTOR])


def _assign(silence: AlertSilence, fields: Mapping[str, Any]) -> None:
    now = timezone.now()
    for name, value in resolved(silence, fields).items():
        if name in PLAIN:
            setattr(silence, name, value)
    silence.starts_at = silence.starts_at or now
    _check_matchers(silence)
    _check_times(silence, fields, now)


def _check_matchers(silence: AlertSilence) -> None:
    silence.subjects = read_subjects(silence.subjects)
    if not any(getattr(silence, name) for name in MATCHERS):
        raise ValidationFailed.at(
            "services", f"Say what is silenced: give some of {', '.join(MATCHERS)}."
        )


def _check_times(silence: AlertSilence, fields: Mapping[str, Any], now: datetime) -> None:
    if silence.ends_at is None:
        raise ValidationFailed.at("ends_at", "Say until when nobody is told.")
    if silence.ends_at <= silence.starts_at:
        raise ValidationFailed.at("ends_at", "It ends before it starts.")
    if silence.ends_at - silence.starts_at > LONGEST:
        raise ValidationFailed.at("ends_at", "It is longer than a year.")
    if "ends_at" in fields and silence.ends_at <= now:
        raise ValidationFailed.at("ends_at", "This is past: give a time that is to come.")


# --- What the sweep does with them ---


def read_silences(*, now: datetime) -> list[AlertSilence]:
    """Return the silences that hold now, or ended a while ago, the first to end first."""
    rows = AlertSilence.objects.filter(starts_at__lte=now, ends_at__gt=now - LOOKED_BACK)
    return list(rows.order_by("ends_at"))


def note_silences(silences: Sequence[AlertSilence], *, now: datetime) -> None:
    """Write on incidents that they are silenced, and take it back where they are not any more."""
    holding = [each for each in silences if each.ends_at > now]
    rows = Incident.objects.unresolved().filter(
        suppressed_reason__in=("", Suppression.SILENCE) if holding else (Suppression.SILENCE,)
    )
    for incident in rows.select_related("service"):
        traits = traits_of(incident)
        # Of several the one that holds longest.
        by = next((each for each in reversed(holding) if is_silenced_by(each, traits)), None)
        if (by is not None) != (incident.suppressed_reason == Suppression.SILENCE):
            _note(incident, by, now=now)


def _note(incident: Incident, silence: AlertSilence | None, *, now: datetime) -> None:
    """Write one; of two sweeps, one does."""
    with transaction.atomic():
        as_read = Incident.objects.unresolved().filter(
            pk=incident.pk, suppressed_reason=incident.suppressed_reason
        )
        reason = Suppression.SILENCE if silence else ""
        if not as_read.update(suppressed_reason=reason, updated_at=now):
            return
        text = (
            f"Silenced by '{silence.name}' until {silence.ends_at:%Y-%m-%d %H:%M} UTC."
            if silence
            else "Nothing silences it any more."
        )
        add_entry(incident, text, at=now)
