"""Retires versions of workflows, which nobody can start then, and reinstates them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from core import audit
from core.db.clock import database_now
from core.exceptions import Conflict, NotFound, UseDenied, ValidationFailed
from core.models import AuditVerb
from workflows.definition import Definition, read
from workflows.definition_cache import readable_definition
from workflows.models import Workflow, WorkflowStatus, WorkflowVersion

LONGEST_REASON = 500
OPERATE = "workflows:operate"


def retire_version(version: WorkflowVersion, reason: str, *, actor: str = "") -> WorkflowVersion:
    """Let nobody start a version any more; executions that began go on.

    One that is retired already stays as it is, with the reason that it has.

    Raises:
        NotFound: the version was deleted meanwhile.
        ValidationFailed: no reason is given.
    """
    with transaction.atomic():
        locked = _lock(version)
        if locked.is_retired:
            return locked
        reason = _check_reason(reason)
        locked.retired_at, locked.retired_by = database_now(), actor[:150]
        locked.retired_reason = reason
        _save(locked)
        _record(AuditVerb.RETIRED, locked, reason)
    return locked


def reinstate_version(version: WorkflowVersion, reason: str) -> WorkflowVersion:
    """Let a retired version be started again.

    Raises:
        NotFound: the version was deleted meanwhile.
        Conflict: it is not retired.
        ValidationFailed: no reason is given.
    """
    with transaction.atomic():
        locked = _lock(version)
        if not locked.is_retired:
            raise Conflict(f"Version {locked.number} is not retired.")
        reason = _check_reason(reason)
        locked.retired_at, locked.retired_by, locked.retired_reason = None, "", ""
        _save(locked)
        _record(AuditVerb.REINSTATED, locked, reason)
    return locked


def retire_superseded(workflow: Workflow, before: WorkflowVersion | None) -> None:
    """Retire older versions that lack an approval which the current version adds.

    Call it in the transaction that makes the version the current one of an ACTIVE workflow;
    `before` is the version that was, None where nothing could be started. What an operator
    reinstated stays so until then.
    """
    current = workflow.current_version
    if current is None or workflow.status != WorkflowStatus.ACTIVE:
        return
    added = approvals_in(readable_definition(current)) - _approvals_of(before)
    if not added:
        return
    older = workflow.versions.filter(number__lt=current.number, retired_at__isnull=True)
    for version in older.order_by("number").iterator(chunk_size=20):
        missing = sorted(added - _approvals_of(version))
        if missing:
            retire_version(
                version, f"Version {current.number} adds the approval '{missing[0]}'.", actor="hub"
            )


def approvals_in(definition: Definition | None) -> frozenset[str]:
    """Return the ids of the steps of a definition that ask people."""
    steps = definition.steps.values() if definition else ()
    return frozenset(step.id for step in steps if step.kind == "APPROVAL")


def check_pinned_children(
    document: Mapping[str, Any], before: Mapping[str, Any] | None, *, may_operate: bool
) -> None:
    """Refuse steps that start a version of another workflow which its operators did not choose.

    What the document `before` starts already may stay.

    Raises:
        UseDenied: a step names a version, without `may_operate`.
    """
    if may_operate:
        return
    new = _pinned_in(document) - (_pinned_in(before) if before else frozenset())
    for name, number in sorted(new):
        raise UseDenied(
            f"A step that starts version {number} of '{name}', whichever is the active one, needs"
            f" the scope {OPERATE}."
        )


def _pinned_in(document: Mapping[str, Any]) -> frozenset[tuple[str, int]]:
    definition = read(document).definition
    return frozenset(
        (step.workflow.lower(), step.version)
        for step in (definition.steps.values() if definition else ())
        if step.workflow is not None and step.version is not None
    )


def _approvals_of(version: WorkflowVersion | None) -> frozenset[str]:
    return approvals_in(readable_definition(version))


def _lock(version: WorkflowVersion) -> WorkflowVersion:
    rows = WorkflowVersion.objects.select_related("workflow").select_for_update(of=("self",))
    locked: WorkflowVersion | None = rows.filter(pk=version.pk).first()
    if locked is None:
        raise NotFound("The version was deleted meanwhile.")
    return locked


def _save(version: WorkflowVersion) -> None:
    version.save(update_fields=("retired_at", "retired_by", "retired_reason", "updated_at"))


def _record(verb: AuditVerb, version: WorkflowVersion, reason: str) -> None:
    audit.record(verb, version.workflow, reason=reason, changes={"version": version.number})


def _check_reason(reason: str) -> str:
    reason = reason.strip()
    if not reason or len(reason) > LONGEST_REASON:
        raise ValidationFailed.at("reason", f"Say why, in 1 to {LONGEST_REASON} characters.")
    return reason
