"""Grants of versions: which of their calls may use which credentials, who allowed it, and who not.

The engine holds each call against them before anything is sent.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from core import audit
from core.exceptions import ValidationFailed
from core.models import AuditVerb
from registry.calls.targets.resolver import CallTarget
from registry.credentials.audit import record
from registry.integrations.reach import CredentialReach, reaches_of
from registry.models import CredentialEventKind
from registry.policies.credential_grants import GrantLine, GrantState
from workflows.definition import Definition
from workflows.definition_cache import readable_definition
from workflows.grant_cache import GrantedCall, tell_changed
from workflows.models import CredentialGrant, CredentialGrantQuerySet, WorkflowVersion
from workflows.services.definitions.retirement import retire_version
from workflows.validation.credential_calls import DefinedCall, calls_of, fingerprints_of


@dataclass(frozen=True, slots=True)
class VersionUse:
    """A use of a credential by a call of a version: the grant that there is, and its state."""

    call: DefinedCall
    reach: CredentialReach
    grant: CredentialGrant | None
    state: GrantState
    note: str

    @property
    def is_granted(self) -> bool:
        """Whether the version may make it, whatever stands in the way elsewhere."""
        return self.grant is not None and self.grant.withdrawn_at is None

    def line(self) -> GrantLine:
        """Return the same as it is told."""
        grant = self.grant
        return GrantLine(
            subject=self.call.title,
            call=self.reach.call,
            target=f"{self.reach.kind} {self.reach.name}",
            credential=self.reach.credential.name,
            state=self.state,
            granted_by=grant.granted_by if grant is not None else "",
            granted_at=grant.granted_at.isoformat() if grant is not None else "",
            note=self.note,
        )


class Reaches:
    """Looks up what calls lead to, each once."""

    def __init__(self) -> None:
        self._found: dict[tuple[CallTarget, str], list[CredentialReach]] = {}

    def of(self, call: DefinedCall) -> list[CredentialReach]:
        target = CallTarget(call.target.kind, call.target.name, call.target.id)
        key = (target, call.action)
        if key not in self._found:
            self._found[key] = reaches_of(*key)
        return self._found[key]


def uses_of_definition(definition: Definition, reaches: Reaches | None = None) -> list[VersionUse]:
    """Return the credentials that a definition reaches which nobody has stored: none is granted."""
    reaches = reaches or Reaches()
    return [
        VersionUse(call, reach, None, GrantState.MISSING, reach.note)
        for call in calls_of(definition)
        for reach in reaches.of(call)
    ]


def uses_of_version(version: WorkflowVersion, reaches: Reaches | None = None) -> list[VersionUse]:
    """Return the credentials that the calls of a version reach now, in the order of its steps."""
    definition = readable_definition(version)
    uses = uses_of_definition(definition, reaches) if definition is not None else []
    if not uses:
        return []
    grants = {_key_of(grant): grant for grant in version.grants.all()}
    is_complete = all(_key(use.call, use.reach) in grants for use in uses)
    before = frozenset() if is_complete else _granted_before(version)
    return [_with_grant(use, grants.get(_key(use.call, use.reach)), before) for use in uses]


def lines_of_version(version: WorkflowVersion) -> list[GrantLine]:
    """Return the same as it is told."""
    return [use.line() for use in uses_of_version(version)]


def grants_of(version: WorkflowVersion) -> CredentialGrantQuerySet:
    """Return the grants of a version, those that were withdrawn too."""
    return CredentialGrant.objects.filter(version=version)


def _key(call: DefinedCall, reach: CredentialReach) -> GrantedCall:
    return GrantedCall(call.step, call.compensates, reach.id, reach.credential.pk)


def _key_of(grant: CredentialGrant) -> GrantedCall:
    return GrantedCall(grant.step, grant.compensates, grant.target_id, grant.credential_id)


def _granted_before(version: WorkflowVersion) -> frozenset[GrantedCall]:
    """Return the grants of the version before, which say of what is missing that it changed."""
    rows = CredentialGrant.objects.valid().filter(
        version__workflow=version.workflow_id, version__number=version.number - 1
    )
    return frozenset(map(_key_of, rows))


def _with_grant(
    use: VersionUse, grant: CredentialGrant | None, before: frozenset[GrantedCall]
) -> VersionUse:
    state, note = use.reach.state, use.reach.note
    if grant is None and _key(use.call, use.reach) in before:
        state = GrantState.CHANGED
        note = note or "The version before was granted it: what is sent, or when, has changed."
    elif grant is None:
        state = GrantState.MISSING
    elif grant.withdrawn_at is not None:
        why = f": {grant.reason}" if grant.reason else "."
        state, note = GrantState.CHANGED, note or f"Withdrawn by {grant.withdrawn_by}{why}"
    return VersionUse(use.call, use.reach, grant, state, note)


# --- Granting ---


def grant_version(
    version: WorkflowVersion,
    *,
    actor: str,
    steps: Collection[str] | None = None,
    through: UUID | None = None,
) -> list[VersionUse]:
    """Let calls of a version use the credentials that they reach now; return those that are new.

    All calls unless `steps` says of which steps, and `through` which service, connection or
    integration they lead. Call it inside the transaction of what allows it.
    """
    new = [
        use
        for use in uses_of_version(version)
        if not use.is_granted
        and (steps is None or use.call.step in steps)
        and (through is None or use.reach.leads_through(through))
    ]
    for use in new:
        _store(version, use, actor)
    if new:
        granted = {use.call.title: _told(use.reach) for use in new}
        _note(version, AuditVerb.GRANTED, granted)
    return new


def _store(version: WorkflowVersion, use: VersionUse, actor: str) -> None:
    call, reach = use.call, use.reach
    CredentialGrant.objects.update_or_create(
        version=version,
        step=call.step,
        compensates=call.compensates,
        target_id=reach.id,
        credential=reach.credential,
        defaults={
            "call": reach.call[:700],
            "granted_by": actor,
            "granted_at": timezone.now(),
            "withdrawn_by": "",
            "withdrawn_at": None,
            "reason": "",
        },
    )
    record(
        reach.credential,
        CredentialEventKind.GRANTED,
        actor=actor,
        subject=f"{_title_of(version)} step {call.title}",
        detail=_told(reach),
    )


def _told(reach: CredentialReach) -> str:
    return f"{reach.call} of {reach.kind} {reach.name} with {reach.credential.name}"


def _title_of(version: WorkflowVersion) -> str:
    return f"workflow {version.workflow.name} version {version.number}"


def _note(version: WorkflowVersion, verb: AuditVerb, calls: dict[str, str]) -> None:
    changes = {"version": version.number, "steps": calls}
    audit.record(verb, version.workflow, changes=changes)
    key = version.pk
    transaction.on_commit(lambda: tell_changed(key))


def allow_version(
    version: WorkflowVersion, *, actor: str, steps: Collection[str] | None = None
) -> list[VersionUse]:
    """Let a version use what it reaches, or what these steps of it do.

    Raises:
        ValidationFailed: a step that is named calls nothing with a credential.
    """
    with transaction.atomic():
        if steps is not None:
            reaching = {use.call.step for use in uses_of_version(version)}
            unknown = sorted(set(steps) - reaching)
            if unknown:
                sentence = f"The step '{unknown[0][:100]}' calls nothing that has a credential."
                raise ValidationFailed.at("steps", sentence)
        return grant_version(version, actor=actor, steps=steps)


def withdraw_version(
    version: WorkflowVersion,
    *,
    actor: str,
    reason: str = "",
    grants: Collection[UUID] | None = None,
) -> int:
    """Take back what a version was granted, or of that what `grants` has the ids of.

    Calls that begin from now on are refused.
    """
    with transaction.atomic():
        valid = grants_of(version).valid().select_for_update().select_related("credential")
        rows = list(valid if grants is None else valid.filter(pk__in=grants))
        for grant in rows:
            grant.withdrawn_by, grant.withdrawn_at = actor, timezone.now()
            grant.reason = reason
            grant.save()
            record(
                grant.credential,
                CredentialEventKind.WITHDRAWN,
                actor=actor,
                subject=f"{_title_of(version)} step {grant.step}",
                detail=reason,
            )
        if rows:
            _note(version, AuditVerb.WITHDRAWN, {grant.step: grant.call for grant in rows})
            _retire_older(version, rows)
    return len(rows)


def _retire_older(version: WorkflowVersion, withdrawn: Collection[CredentialGrant]) -> None:
    """Retire older versions that could go on with what was withdrawn."""
    same = {(grant.target_id, grant.credential_id) for grant in withdrawn}
    older = CredentialGrant.objects.valid().filter(
        version__workflow=version.workflow_id,
        version__number__lt=version.number,
        version__retired_at__isnull=True,
        target_id__in={target for target, _ in same},
    )
    versions = {
        grant.version
        for grant in older.select_related("version__workflow")
        if (grant.target_id, grant.credential_id) in same
    }
    for each in sorted(versions, key=lambda each: each.number):
        reason = f"What it may use was withdrawn from version {version.number}."
        retire_version(each, reason, actor="hub")


def carry_grants(before: WorkflowVersion | None, version: WorkflowVersion) -> None:
    """Give a new version the grants of the one before, of calls that send the same as there."""
    rows = list(grants_of(before).valid()) if before is not None else []
    old, new = readable_definition(before), readable_definition(version)
    if not rows or old is None or new is None:
        return
    was, now = fingerprints_of(old), fingerprints_of(new)
    kept = [
        grant
        for grant in rows
        if (place := (grant.step, grant.compensates)) in now and was.get(place) == now[place]
    ]
    names = ("step", "compensates", "target_id", "credential_id", "call", "granted_by",
             "granted_at")  # fmt: skip
    CredentialGrant.objects.bulk_create(
        CredentialGrant(version=version, **{name: getattr(grant, name) for name in names})
        for grant in kept
    )
