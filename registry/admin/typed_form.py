"""The form of a row whose type says which fields it has."""

from __future__ import annotations

from typing import Any

from django import forms
from django.views.decorators.debug import sensitive_variables

from core.admin.forms import description_field


class TypedForm(forms.ModelForm):
    """A row as a person makes or changes it; `service_fields` is what the service takes.

    The type of a row that is stored stays as it is; it is in the column `typed_by`.
    """

    typed_by = "type"
    description = description_field(rows=2)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.service_fields: dict[str, Any] = {}
        self.is_change = not self.instance._state.adding
        if self.is_change:
            if self.typed_by in self.fields:
                self.fields[self.typed_by].disabled = True
            self.show(self.instance)

    def show(self, row: Any) -> None:
        """Leave the fields of a stored row's type, and fill them."""
        raise NotImplementedError

    def read(self, type: str) -> None:
        """Set `service_fields` from what was typed in, and put each error to its field."""
        raise NotImplementedError

    @sensitive_variables()
    def clean(self) -> Any:
        data = super().clean()
        stored = getattr(self.instance, self.typed_by)
        type = stored if self.is_change else self.cleaned_data.get(self.typed_by)
        if type and not self.errors:
            self.read(type)
        return data
