"""Prompts: templates of messages under a name, each change of which is a version of its own."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models

from core.db.json_fields import CheckedJSONField
from core.db.models import AppendedModel, NamedModel, NamedQuerySet, name_constraint
from model_orchestration.prompting import PromptRefused, check_messages, check_variables


def validate_messages(value: Any) -> None:
    """Refuse what are not messages of a template."""
    _held(check_messages, value)


def validate_variables(value: Any) -> None:
    """Refuse what are not declarations of variables."""
    _held(check_variables, value)


def _held(check: Any, value: Any) -> None:
    try:
        check(value)
    except PromptRefused as error:
        raise ValidationError(f"{error.field}: {error}") from None


class PromptQuerySet(NamedQuerySet["Prompt"]):
    """Selections of prompts."""


class Prompt(NamedModel):
    """A template as it is now: its latest version."""

    version = models.PositiveIntegerField(default=1, editable=False)
    messages = CheckedJSONField(default=list, validators=[validate_messages])
    variables = CheckedJSONField(default=list, blank=True, validators=[validate_variables])

    objects = PromptQuerySet.as_manager()

    class Meta:
        db_table = "prompt"
        ordering = ("name",)
        constraints = (name_constraint("prompt", "A prompt"),)


class PromptVersion(AppendedModel):
    """A version of a prompt, which never changes: who names it gets the same words always."""

    is_part = True  # it goes with its prompt

    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    messages = CheckedJSONField(default=list, validators=[validate_messages])
    variables = CheckedJSONField(default=list, blank=True, validators=[validate_variables])
    made_by = models.CharField(max_length=100, blank=True, default="")

    class Meta:
        db_table = "prompt_version"
        ordering = ("prompt", "-number")
        constraints = (
            models.UniqueConstraint(fields=("prompt", "number"), name="prompt_version_key"),
        )

    def __str__(self) -> str:
        return f"{self.prompt} {self.number}"
