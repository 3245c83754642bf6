"""Finds, creates, updates and deletes workflows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max

from core import audit
from core.db.locking import columns_of, lock_row, save_if_changed, unique_name
from core.db.validation import as_validation_failed
from core.exceptions import Conflict, NotFound
from core.json.merge_patch import MergePatch, resolved
from core.models import AuditVerb
from core.references import refuse_if_used
from workflows.definition import DefinitionError
from workflows.execution_rows import check_not_retired
from workflows.models import (
    TERMINAL,
    Workflow,
    WorkflowStatus,
    WorkflowVersion,
    checksum_of,
)
from workflows.services.definitions.grants import carry_grants, grant_version
from workflows.services.definitions.references import bindings_of
from workflows.services.definitions.registry_directory import validate_document
from workflows.services.definitions.retirement import check_pinned_children, retire_superseded
from workflows.services.schedules.input_check import check_schedules_of
from workflows.validation.credential_use import check_connections

OPTION_KEYS = ("output", "retry", "timeout", "defaults", "concurrency")


def get_workflow(reference: str) -> Workflow:
    """Return the workflow of that id or name, with its current version.

    Raises:
        NotFound: there is none.
    """
    return Workflow.objects.select_related("current_version").get_named(reference)


def workflow_of_type(workflow_type: str) -> Workflow:
    """Return the workflow that requests of this type run: the ACTIVE one of the catalog, or oldest.

    WORKFLOW_CATALOG says which catalog: where it has none for the type, the standard one has.

    Raises:
        NotFound: none is active.
    """
    active = Workflow.objects.filter(type=workflow_type, status=WorkflowStatus.ACTIVE)
    standard = workflow_type.lower().replace("_", "-")
    chosen = f"{standard}-{settings.WORKFLOW_CATALOG}"
    by_name = {row.name: row for row in active.filter(name__in=(chosen, standard))}
    workflow = by_name.get(chosen) or by_name.get(standard) or active.order_by("created_at").first()
    if workflow is None:
        raise NotFound(f"No active workflow of the type {workflow_type}.")
    return workflow


def create_workflow(
    fields: Mapping[str, Any],
    document: Any,
    *,
    actor: str = "",
    lenient: bool = False,
    may_use_credentials: bool = True,
    may_operate: bool = True,
) -> Workflow:
    """Store a new workflow with its first version.

    With `lenient`, and for a DRAFT, its services need not be registered yet. With
    `may_use_credentials` it may use the credentials that it reaches then.

    Raises:
        DefinitionError: the definition is not valid.
        ValidationFailed: a field breaks a rule.
        Conflict: the name is taken.
        PermissionDenied: a step names a connection with a credential, without
            `may_use_credentials`; or the version of another workflow, without `may_operate`.
    """
    workflow = Workflow(owner=actor, **fields)
    _check_fields(workflow)
    draft = lenient or workflow.status == WorkflowStatus.DRAFT
    checked = _check_document(document, draft=draft, name=workflow.name)
    check_connections(checked, may_use_credentials=may_use_credentials)
    check_pinned_children(checked, None, may_operate=may_operate)
    with unique_name(workflow), transaction.atomic():
        workflow.save()
        _add_version(workflow, checked)
        audit.record(AuditVerb.CREATED, workflow)
        if may_use_credentials:
            _grant_current(workflow, actor)
    return workflow


def update_workflow(
    workflow: Workflow,
    fields: Mapping[str, Any],
    document: Any = None,
    *,
    actor: str = "",
    lenient: bool = False,
    if_unchanged: bool = False,
    may_use_credentials: bool = True,
    may_operate: bool = True,
) -> Workflow:
    """Change what is given; a document that says something else makes a new version.

    Fields and the document may be a `MergePatch` of what is there. A new version keeps the grants
    of calls that send the same; with `may_use_credentials` it, and one that becomes ACTIVE, is
    granted what it reaches. Older versions are retired that lack an approval that the new one adds.

    Raises:
        As of `create_workflow`; what the workflow names already needs no permission.
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    with unique_name(workflow, fields), transaction.atomic():
        locked = lock_row(workflow, if_unchanged=if_unchanged)
        was, before, columns = locked.status, audit.snapshot(locked), columns_of(locked)
        replaced = locked.current_version
        number = replaced.number if replaced else None
        for name, value in resolved(locked, fields).items():
            setattr(locked, name, value)
        _check_fields(locked)
        draft = lenient or locked.status == WorkflowStatus.DRAFT
        current = locked.current_version.document if locked.current_version else None
        if isinstance(document, MergePatch):
            document = document.onto(current)
        if document is not None and checksum_of(dict(document)) != checksum_of(current or {}):
            checked = _check_document(document, draft=draft, name=workflow.name)
            check_connections(checked, current, may_use_credentials=may_use_credentials)
            check_pinned_children(checked, current, may_operate=may_operate)
            carry_grants(replaced, _add_version(locked, checked))
            if not lenient:
                check_schedules_of(locked, replaced)
        elif was == WorkflowStatus.DRAFT and not draft:
            _check_document(current, draft=False, name=locked.name)
        save_if_changed(locked, columns)
        audit.record_changes(locked, before, _new_version(locked, number))
        retire_superseded(locked, replaced if was == WorkflowStatus.ACTIVE else None)
        is_activated = WorkflowStatus.ACTIVE == locked.status != was
        if may_use_credentials and (is_activated or locked.current_version != replaced):
            _grant_current(locked, actor)
    return locked


def save_definition(workflow: Workflow, document: Any, *, actor: str = "") -> Workflow:
    """Give a workflow a new definition."""
    return update_workflow(workflow, {}, document, actor=actor)


def delete_workflow(workflow: Workflow, *, if_unchanged: bool = False, force: bool = False) -> None:
    """Delete a workflow and its versions. Executions that ended keep their record.

    With `force`, its schedules and webhooks go with it, and steps that run it fail.

    Raises:
        Conflict: executions of it are still open; or something uses it, without `force`.
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    with transaction.atomic():
        locked = lock_row(workflow, if_unchanged=if_unchanged)
        refuse_if_used(locked, force=force)
        still_open = locked.executions.exclude(status__in=TERMINAL).count()
        if still_open:
            raise Conflict(
                f"{still_open} executions of '{locked.name}' have not ended. Cancel them first."
            )
        audit.record(AuditVerb.DELETED, locked)
        locked.delete()


def get_version(workflow: Workflow, number: int) -> WorkflowVersion:
    """Return the version of that number.

    Raises:
        NotFound: there is no such version.
    """
    version: WorkflowVersion | None = workflow.versions.filter(number=number).first()
    if version is None:
        raise NotFound(f"The workflow '{workflow.name}' has no version {number}.")
    return version


def activate_version(
    workflow: Workflow, number: int, *, actor: str = "", may_use_credentials: bool = True
) -> Workflow:
    """Make an earlier version the one that new executions use.

    With `may_use_credentials` it is granted what it reaches.

    Raises:
        NotFound: there is no such version.
        Conflict: it is retired.
        ValidationFailed: enabled schedules would fail with it.
    """
    with transaction.atomic():
        locked = lock_row(workflow)
        version = get_version(locked, number)
        check_not_retired(locked, version)
        audit.record(AuditVerb.ACTIVATED, locked, changes={"version": number})
        before, locked.current_version = locked.current_version, version
        check_schedules_of(locked, before)
        locked.save(update_fields=("current_version", "updated_at"))
        retire_superseded(locked, before)
        if may_use_credentials:
            _grant_current(locked, actor)
    return locked


def _grant_current(workflow: Workflow, actor: str) -> None:
    """Let the current version use what it reaches, as somebody saves it who may allow that."""
    if workflow.current_version is not None:
        grant_version(workflow.current_version, actor=actor or audit.actor_name())


def _check_fields(workflow: Workflow) -> None:
    try:
        workflow.full_clean(
            exclude=("current_version",), validate_unique=False, validate_constraints=False
        )
    except ValidationError as error:
        raise as_validation_failed(error) from None


def _check_document(document: Any, *, draft: bool, name: str) -> dict[str, Any]:
    validation = validate_document(document, draft=draft, name=name)
    if not validation.valid:
        raise DefinitionError.of(validation.errors)
    return {"steps": document} if isinstance(document, list) else dict(document)


def _new_version(workflow: Workflow, before: int | None) -> dict[str, Any]:
    after = workflow.current_version.number if workflow.current_version else None
    return {} if after == before else {"version": [before, after]}


def _add_version(workflow: Workflow, document: dict[str, Any]) -> WorkflowVersion:
    last = workflow.versions.aggregate(last=Max("number"))["last"] or 0
    version = WorkflowVersion.objects.create(
        workflow=workflow,
        number=last + 1,
        steps=document["steps"],
        bindings=bindings_of(document["steps"]),
        options={k: document[k] for k in OPTION_KEYS if k in document},
        checksum=checksum_of(document),
    )
    workflow.current_version = version
    workflow.save()
    return version
