"""Makes dry runs of stored and of unsaved definitions: nothing is stored, and nobody is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.utils import timezone

from core.exceptions import Conflict
from registry.policies.credential_grants import GrantLine, GrantState
from workflows.definition import Definition, DefinitionError, parse
from workflows.definition_cache import usable_definition
from workflows.dry_run import DryRunResult, execute_in_memory, read_mocks
from workflows.dry_run.fake_calls import Calls
from workflows.models import Workflow
from workflows.services.definitions.grants import lines_of_version, uses_of_definition
from workflows.services.definitions.registry_directory import validate_document
from workflows.services.executions.start import version_of

UNSAVED = "unsaved"


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """What a dry run is given. `mocks` says what steps come to, by their ids."""

    input: Mapping[str, Any]
    context: Mapping[str, Any]
    mocks: Mapping[str, Any]


def dry_run_workflow(
    workflow: Workflow, dry_run: DryRun, *, version: int | None = None
) -> DryRunResult:
    """Run a version of a workflow in memory, the current one unless told.

    Raises:
        ValidationFailed: there is no such version, or a mock cannot be used.
        Conflict: the workflow has no definition that can be read.
    """
    run_version = workflow.current_version if version is None else version_of(workflow, version)
    if run_version is None:
        raise Conflict(f"The workflow '{workflow.name}' has no definition.")
    result = _run(usable_definition(run_version), workflow.name, dry_run)
    return _with_grants(result, lines_of_version(run_version), warn=True)


def dry_run_document(document: Any, dry_run: DryRun, *, name: str = UNSAVED) -> DryRunResult:
    """Run a definition that need not be stored; its services need not be registered yet.

    Raises:
        DefinitionError: the definition is not valid.
        ValidationFailed: a mock cannot be used.
    """
    checked = validate_document(document, draft=True, name=name)
    if not checked.valid:
        raise DefinitionError.of(checked.errors)
    definition = parse(document)
    lines = [use.line() for use in uses_of_definition(definition)]
    return _with_grants(_run(definition, name, dry_run), lines)


def _with_grants(
    result: DryRunResult, lines: Sequence[GrantLine], *, warn: bool = False
) -> DryRunResult:
    """Return the result with what would be refused for want of a grant; `warn` says it too."""
    refused = [
        f"{line.subject}: It would fail with permission_denied: the credential"
        f" '{line.credential}' of the {line.target} is not granted. {line.note}".strip()
        for line in lines
        if warn and line.state != GrantState.GRANTED
    ]
    return replace(result, grants=tuple(lines), warnings=(*result.warnings, *refused))


def _run(definition: Definition, name: str, dry_run: DryRun) -> DryRunResult:
    return execute_in_memory(
        definition,
        workflow=name,
        input=dry_run.input,
        context=dry_run.context,
        calls=Calls(read_mocks(dry_run.mocks, definition)),
        now=timezone.now(),
    )
