"""Enum columns: UPPERCASE values, input in any case, guarded by a check constraint."""

from __future__ import annotations

from typing import Any, Self

from django import forms
from django.core.exceptions import ValidationError
from django.db import models

from core.suggestions import did_you_mean


class Vocabulary(models.TextChoices):
    """An enum whose values are UPPERCASE and whose input may be in any case."""

    @classmethod
    def aliases(cls) -> dict[str, str]:
        """Return other names that callers use for a value."""
        return {}

    @classmethod
    def parse(cls, value: object) -> Self:
        """Return the member for `value`, whatever its case and surrounding blanks.

        Raises:
            ValueError: the value is not one of the vocabulary; the message lists the allowed ones.
        """
        text = str(value).strip().upper() if isinstance(value, str) else ""
        text = cls.aliases().get(text, text)
        try:
            return cls(text)
        except ValueError:
            raise ValueError(cls.refusal(value)) from None

    @classmethod
    def refusal(cls, value: object) -> str:
        shown = repr(value) if not isinstance(value, str) else f"'{value[:100]}'"
        close = did_you_mean(value, [*cls.values, *cls.aliases()])
        return f"{shown} is not allowed{close} Use one of: {', '.join(cls.values)}."


class EnumField(models.CharField):
    """A varchar column of a Vocabulary: any case in, upper case stored, the rest refused."""

    def __init__(
        self, *args: Any, vocabulary: type[Vocabulary] | None = None, **kwargs: Any
    ) -> None:
        self.vocabulary = vocabulary
        if vocabulary is not None:
            kwargs.setdefault("choices", vocabulary.choices)
        kwargs.setdefault("max_length", 30)
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        """Be a plain CharField in migrations; the check constraint holds the values."""
        name, _path, args, kwargs = super().deconstruct()
        kwargs.pop("choices", None)
        return name, "django.db.models.CharField", args, kwargs

    def to_python(self, value: Any) -> Any:
        if self.vocabulary is None or value is None or value == "":
            return super().to_python(value)
        try:
            return self.vocabulary.parse(value)
        except ValueError as error:
            raise ValidationError(str(error), code="invalid_choice") from None

    def get_prep_value(self, value: Any) -> Any:
        return (
            str(value)
            if isinstance(value, Vocabulary)
            else super(models.CharField, self).get_prep_value(value)
        )

    def formfield(self, **kwargs: Any) -> Any:
        if self.vocabulary is not None:
            kwargs.setdefault("choices_form_class", VocabularyChoiceField)
        field = super().formfield(**kwargs)
        if isinstance(field, VocabularyChoiceField):
            field.vocabulary = self.vocabulary
        return field


class VocabularyChoiceField(forms.TypedChoiceField):
    """A select whose submitted value may be in any case."""

    vocabulary: type[Vocabulary] | None = None

    def to_python(self, value: Any) -> Any:
        if self.vocabulary is None or value in self.empty_values:
            return super().to_python(value)
        try:
            return self.vocabulary.parse(value).value
        except ValueError as error:
            raise ValidationError(str(error), code="invalid_choice") from None


def enum_check(
    table: str, column: str, vocabulary: type[Vocabulary], *, blank: bool = False
) -> models.CheckConstraint:
    """Return the constraint by which the database refuses any other value of an enum column.

    One that may be `blank` takes the empty text too.
    """
    values = [*vocabulary.values, *([""] if blank else [])]
    return models.CheckConstraint(
        name=f"{table}_{column}_check", condition=models.Q(**{f"{column}__in": values})
    )
