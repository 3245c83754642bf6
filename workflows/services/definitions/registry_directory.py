"""Looks up for the validator what a definition names: services, workflows, people."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db.models import QuerySet

from core.models import ApiKey
from core.roles import Role
from core.suggestions import MOST_COMPARED, did_you_mean, meant_among
from registry.calls.targets.resolver import CallTarget, resolve
from registry.exceptions import CallError
from registry.models import Connection, ConnectionDriver, Integration, ServiceType
from workflows import validation
from workflows.definition import StepTarget
from workflows.models import (
    Workflow,
)


class RegistryDirectory:
    """What the validator may ask the registry, each thing once."""

    def __init__(self) -> None:
        self._known: dict[tuple[StepTarget, str], validation.ActionInfo | LookupError] = {}

    def find_action(self, target: StepTarget, action: str) -> validation.ActionInfo:
        """Return the schemas of an action.

        Raises:
            LookupError: the service or its action does not exist.
        """
        key = (target, action)
        if key not in self._known:
            self._known[key] = self._find(target, action)
        known_action = self._known[key]
        if isinstance(known_action, LookupError):
            raise known_action
        return known_action

    def find_workflow(self, name: str) -> None:
        """Check that a workflow exists.

        Raises:
            LookupError: there is none of that name or id.
        """
        if Workflow.objects.find(name) is None:
            raise LookupError(f"There is no workflow '{name}'{meant_among(Workflow.objects, name)}")

    def find_person(self, name: str) -> None:
        """Check that somebody or some group has a name that an approval asks for.

        Raises:
            LookupError: no login, group or API key has it.
        """
        if name in {role.group_name for role in Role} or _has_name(name):
            return
        every = [rows.values_list(column, flat=True)[:MOST_COMPARED] for rows, column in _people()]
        close = did_you_mean(name, [known for names in every for known in names])
        raise LookupError(f"No login, group or API key has the name '{name}'{close}")

    @staticmethod
    def _find(target: StepTarget, action: str) -> validation.ActionInfo | LookupError:
        if target.kind == "integration":
            return _describe_integration(target.name)
        if target.kind == "connection":
            return _describe_connection(target.name)
        if target.kind == "service_type":
            try:
                ServiceType.parse(target.name)
            except ValueError as error:
                return validation.UnknownTypeError(str(error))
        try:
            resolved = resolve(CallTarget(target.kind, target.name), action)
        except CallError as error:
            kind = validation.ActionNotFoundError if "action" in error.details else LookupError
            return kind(error.message)
        return validation.ActionInfo(
            resolved.input_schema.document, resolved.output_schema.document, resolved.unknown_fields
        )


def _people() -> list[tuple[QuerySet[Any], str]]:
    """Return the rows of whom an approval may ask, with the column of their name."""
    return [
        (get_user_model().objects.all(), "username"),
        (Group.objects.all(), "name"),
        (ApiKey.objects.all(), "name"),
    ]


def _has_name(name: str) -> bool:
    return any(rows.filter(**{column: name}).exists() for rows, column in _people())


def _describe_integration(name: str) -> validation.ActionInfo | LookupError:
    """Describe an integration; its mappings say what it takes and gives."""
    if Integration.objects.find(name) is None:
        return LookupError(
            f"There is no integration '{name}'{meant_among(Integration.objects, name)}"
        )
    return validation.ActionInfo(None, None)


def _describe_connection(name: str) -> validation.ActionInfo | LookupError:
    """Describe a connection; what a third party takes and gives is not known."""
    connection = Connection.objects.find(name)
    if connection is None:
        return LookupError(
            f"There is no connection '{name}'{meant_among(Connection.objects, name)}"
        )
    if connection.driver != ConnectionDriver.HTTP:
        return LookupError(
            f"'{connection.name}' is of the type {connection.type}; what can be called is HTTP,"
            " GRAPHQL and WEBHOOK."
        )
    return validation.ActionInfo(None, None)


def validate_document(
    document: Any, *, draft: bool = False, name: str | None = None
) -> validation.Validation:
    """Return all that is wrong with a definition, held against what is registered now.

    `name` is the workflow's own, which may run itself.
    """
    return validation.validate(document, directory=RegistryDirectory(), draft=draft, name=name)
