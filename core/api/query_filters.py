"""Query parameters as filters: numbers as JSON writes them, enum values in any case."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

import django_filters
from django import forms
from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema_field

from core.db.vocabulary import Vocabulary
from core.json import strict

LONGEST_TEXT = 200


class NumberFormField(forms.DecimalField):
    """A number as JSON writes it."""

    def to_python(self, value: Any) -> Any:
        if value in self.empty_values:
            return None
        try:
            strict.parse_number(str(value))
        except strict.JSONRefused:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from None
        return super().to_python(value)


class NumberFilter(django_filters.NumberFilter):
    """A filter by a number, which is not `1_0` and not in other digits."""

    field_class = NumberFormField


class TextFilter(django_filters.CharFilter):
    """A filter by a text of at most 200 characters."""

    def __init__(self, field_name: str | None = None, **kwargs: Any) -> None:
        super().__init__(field_name, max_length=LONGEST_TEXT, **kwargs)


class NameFilter(TextFilter):
    """Equality with a name, in any case."""

    def __init__(self, field_name: str | None = None) -> None:
        super().__init__(field_name, lookup_expr="iexact")


class SearchFilter(TextFilter):
    """Rows to which the text applies in one look-up at least."""

    def __init__(self, *lookups: str) -> None:
        self.lookups = lookups or ("name__icontains", "description__icontains")
        super().__init__()
        extend_schema_field({"type": "string"})(self)

    def filter(self, qs: QuerySet[Any], value: Any) -> QuerySet[Any]:
        if not value:
            return qs
        return qs.filter(reduce(or_, (Q((lookup, value)) for lookup in self.lookups)))


class VocabularyFilter(django_filters.Filter):
    """Equality with an enum value in any case; several may be joined by commas."""

    field_class = forms.CharField

    def __init__(self, vocabulary: type[Vocabulary], **kwargs: Any) -> None:
        self.vocabulary = vocabulary
        super().__init__(lookup_expr="in", validators=[self._check], **kwargs)
        words = f"One of {', '.join(vocabulary.values)}, in any case; or several, by commas."
        extend_schema_field({"type": "string", "description": words})(self)

    def _check(self, text: str) -> None:
        for word in text.split(","):
            try:
                self.vocabulary.parse(word)
            except ValueError as error:
                # The sentence shows what was sent, whose percent signs are no places to fill.
                told = {"sentence": str(error)}
                raise forms.ValidationError("%(sentence)s", params=told) from None

    def filter(self, qs: QuerySet[Any], value: Any) -> QuerySet[Any]:
        if not value:
            return qs
        return super().filter(qs, [self.vocabulary.parse(word).value for word in value.split(",")])
