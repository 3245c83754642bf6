"""Prompts: what is put into their rows, and the versions that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from core import audit
from core.configured_rows import create_row, update_row
from core.exceptions import ValidationFailed
from model_orchestration.models import Prompt, PromptVersion
from model_orchestration.prompting import PromptRefused, check_template

_TEXT = ("messages", "variables")


def create_prompt(fields: Mapping[str, Any]) -> Prompt:
    """Store a prompt and its first version. Raises: ValidationFailed, Conflict."""
    with transaction.atomic():
        row = create_row(Prompt(), fields, _assign)
        _keep_version(row)
    return row


def update_prompt(row: Prompt, fields: Mapping[str, Any], *, if_unchanged: bool = False) -> Prompt:
    """Change what is given; other messages or variables are the next version.

    Raises:
        ValidationFailed, Conflict; PreconditionFailed.
    """
    with transaction.atomic():
        changed = update_row(row, fields, _assign, if_unchanged=if_unchanged)
        if not PromptVersion.objects.filter(prompt=changed, number=changed.version).exists():
            _keep_version(changed)
    return changed


def _assign(row: Prompt, fields: Mapping[str, Any]) -> None:
    before = [getattr(row, name) for name in _TEXT]
    for name, value in fields.items():
        setattr(row, name, value)
    try:
        check_template(row.messages, row.variables)
    except PromptRefused as error:
        raise ValidationFailed.at(error.field, str(error)) from None
    if not row._state.adding and before != [getattr(row, name) for name in _TEXT]:
        row.version += 1


def _keep_version(row: Prompt) -> None:
    PromptVersion.objects.create(
        prompt=row,
        number=row.version,
        messages=row.messages,
        variables=row.variables,
        made_by=audit.actor_name()[:100],
    )
