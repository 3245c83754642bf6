"""Keeps by id what workflows refer to by name, follows renames, and finds who uses a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from registry.models import Connection, Integration, Service
from workflows.definition.bindings import names_in, rename_in
from workflows.models import TERMINAL, Workflow, WorkflowExecution, WorkflowVersion, checksum_of

MODELS: dict[str, Any] = {
    "service": Service,
    "connection": Connection,
    "integration": Integration,
    "workflow": Workflow,
}


def bindings_of(steps: Any) -> dict[str, dict[str, str]]:
    """Return the ids of what steps name, by kind and name; what is not there yet has none."""
    bindings: dict[str, dict[str, str]] = {}
    for kind, name in dict.fromkeys(names_in(steps)):
        row = MODELS[kind].objects.find(name)
        if row is not None:
            bindings.setdefault(kind, {})[name.lower()] = str(row.pk)
    return bindings


def users_of(row: Any) -> Iterator[str]:
    """Yield the workflows that name a row now, or in a version that an execution still runs."""
    kind = _kind_of(row)
    if not kind:
        return
    key = str(row.pk)
    for owner, name, bindings in _in_use():
        if owner != row.pk and key in (bindings.get(kind) or {}).values():
            yield f"workflow {name or 'that was deleted'}"


def _in_use() -> Iterable[tuple[Any, str, dict[str, Any]]]:
    """Yield the versions that are current, and those of executions that have not ended."""
    columns = ("workflow_id", "workflow__name", "bindings")
    current = WorkflowVersion.objects.filter(
        pk__in=Workflow.objects.filter(current_version__isnull=False).values("current_version")
    )
    going = WorkflowExecution.objects.exclude(status__in=TERMINAL)
    running = WorkflowVersion.objects.filter(pk__in=going.values("version"))
    yield from current.exclude(bindings={}).order_by("workflow__name").values_list(*columns)
    yield from running.exclude(bindings={}).order_by("workflow__name").values_list(*columns)


def follow_rename(row: Any, before: str, **_: Any) -> None:
    """Write the new name into every definition that means this row by the name before."""
    kind = _kind_of(row)
    if not kind:
        return
    name, key = before.lower(), str(row.pk)
    bound = WorkflowVersion.objects.exclude(bindings={}).values_list("pk", "bindings")
    meant = [pk for pk, bindings in bound if bindings.get(kind, {}).get(name) == key]
    for version in WorkflowVersion.objects.filter(pk__in=meant):
        if rename_in(version.steps, kind, before, row.name):
            others = {k: v for k, v in version.bindings[kind].items() if k != name}
            version.bindings[kind] = {**others, row.name.lower(): key}
            version.checksum = checksum_of(version.document)
            version.save(update_fields=("steps", "bindings", "checksum", "updated_at"))


def _kind_of(row: Any) -> str:
    return next((kind for kind, model in MODELS.items() if isinstance(row, model)), "")
