"""Takes over what a source holds: step by step, each to be gone on with after a crash."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo

from django.conf import settings
from django.core.management import call_command
from django.db import transaction

from core.failpoints import failpoint
from core.models import AuditVerb
from integration_site.adoption.columns import not_taken
from integration_site.adoption.exclusive import only_run
from integration_site.adoption.inspection import Inspection, inspect
from integration_site.adoption.notice import earlier_tables_notice
from integration_site.adoption.plan import Adoption, Say
from integration_site.adoption.record import DONE, OWN, AdoptionRecord, StepRecord
from integration_site.adoption.report import LEFT_WHERE_IT_IS, table_counts
from integration_site.adoption.set_aside import NAME as SET_ASIDE
from integration_site.adoption.set_aside import set_aside
from integration_site.adoption.sources import BadSource
from integration_site.adoption.steps.connected import (
    blank_secrets,
    take_connections,
    take_credentials,
    take_integrations,
)
from integration_site.adoption.steps.executions import take_executions
from integration_site.adoption.steps.models import take_models, take_requests
from integration_site.adoption.steps.performance import take_performance
from integration_site.adoption.steps.services import take_services
from integration_site.adoption.trail import tell
from integration_site.first_keys import create_credential_key, read_credential_key

FINISH, CONFIRM = "finish", "confirm"
STEPS: tuple[tuple[str, Callable[[Adoption], None]], ...] = (
    ("services", take_services),
    ("credentials", take_credentials),
    ("connections", take_connections),
    ("integrations", take_integrations),
    ("models", take_models),
    ("requests", take_requests),
    ("performance", take_performance),
    ("executions", take_executions),
)


def apply(url: str, *, zone: tzinfo, say: Say, confirmed: bool = False) -> AdoptionRecord | None:
    """Take over all that was not taken yet, and return the record; None if there is nothing.

    With `confirmed`, empty the plain secrets in the source that are in the vault now.

    Raises:
        BadSource: the source cannot be read.
        AtWork: another run is at work.
    """
    with only_run():
        return _apply(url, zone=zone, say=say, confirmed=confirmed)


def _apply(url: str, *, zone: tzinfo, say: Say, confirmed: bool) -> AdoptionRecord | None:
    found = inspect(url)
    try:
        _check_keys(found)
        record = AdoptionRecord(found.catalogue.label if url else OWN)
        if not found.tables and not found.to_move:
            return record if AdoptionRecord.exists() and record.steps() else None
        prepared = _prepare(found, record, say)
        adoption = Adoption(prepared.source, record, prepared.tables, zone, say)
        if record.step(LEFT_WHERE_IT_IS) is None:
            record.save(StepRecord(LEFT_WHERE_IT_IS, DONE, detail=not_taken(prepared.tables)))
        for name, take in STEPS:
            _run(adoption, name, take)
        _finish(record)
        if confirmed:
            _empty_secrets(adoption)
        return record
    finally:
        found.source.close()


def _check_keys(found: Inspection) -> None:
    """Make sure that secrets can be sealed, if there are any; in development make the key.

    Raises:
        BadSource: there is no key.
    """
    if not any(each.kind.name == "credential" and each.table.rows for each in found.tables):
        return
    create_credential_key()
    settings.CREDENTIAL_KEYS = settings.CREDENTIAL_KEYS or read_credential_key()
    if not settings.CREDENTIAL_KEYS:
        raise BadSource(
            "There are credentials, and CREDENTIAL_KEYS is not set: set the keys that this hub"
            " will have, and run it again."
        )


def _prepare(found: Inspection, record: AdoptionRecord, say: Say) -> Inspection:
    """Clear the way for the hub's tables, make those, and return where to read from."""
    if found.is_own and (not AdoptionRecord.exists() or record.step(SET_ASIDE) is None):
        set_aside(record, found.to_move, has_hub=not found.blocks_hub)
        say(f"{SET_ASIDE:<14} {len(found.to_move)} tables")
    failpoint("M3", SET_ASIDE)
    notice = None if found.is_own else earlier_tables_notice()
    if notice is not None and notice.stops:
        raise BadSource(notice.sentence)  # the hub's own tables cannot be made before that
    call_command("migrate", interactive=False, verbosity=0)
    record.create()
    failpoint("M3", "migrate")
    if not found.is_own:
        return found
    found.source.close()
    moved = inspect("")
    kept = [each for each in found.tables if not each.kind.becomes]
    return Inspection(moved.source, moved.catalogue, (*moved.tables, *kept), is_own=True)


def _finish(record: AdoptionRecord) -> None:
    if record.step(FINISH) is not None:
        return
    with transaction.atomic():
        counts = {
            row["table"]: f"{row['read']} read, {row['taken']} taken, {row['left']} left"
            for row in table_counts(record)
        }
        tell(AuditVerb.CREATED, record.source, "Taken over", counts)
        record.save(StepRecord(FINISH, DONE))


def _empty_secrets(adoption: Adoption) -> None:
    """Empty what is in the vault now; that this was agreed to is told once."""
    blanked = blank_secrets(adoption)
    step = adoption.record.step(CONFIRM)
    if not blanked or (step is not None and step.counts.get("emptied") == blanked):
        return
    with transaction.atomic():
        told = {"credentials": f"{blanked} plain secrets emptied"}
        tell(AuditVerb.CHANGED, adoption.record.source, "Confirmed", told)
        adoption.record.save(StepRecord(CONFIRM, DONE, counts={"emptied": blanked}))
    adoption.say(f"{'credentials':<14} {blanked:,} plain secrets emptied")


def _run(adoption: Adoption, name: str, take: Callable[[Adoption], None]) -> None:
    step = adoption.record.step(name)
    if step is not None and step.is_done:
        return
    take(adoption)
    failpoint("M3", name)
