"""Form fields for lists and JSON, and the forms that use them."""

from __future__ import annotations

import json
import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from core.api_keys import check_end
from core.exceptions import ValidationFailed
from core.json import strict
from core.json.equality import json_equal
from core.models import ApiKey
from core.roles import ROLE_WORDS, SCOPES, Role


class WordsField(forms.Field):
    """A list of words, written with commas or on lines."""

    widget = UnfoldAdminTextInputWidget

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[str]:
        if "\x00" in str(value):
            raise ValidationError("Null characters are not allowed.")
        words = (word.strip() for word in re.split(r"[,\n]", str(value or "")))
        return list(dict.fromkeys(word for word in words if word))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return (initial or []) != self.to_python(data)


class StrictJSONField(forms.CharField):
    """JSON text, refused with line and column where it is not taken; empty means an empty one.

    With `none_if_empty` it means None.
    """

    widget = UnfoldAdminTextareaWidget

    def __init__(
        self,
        *,
        expected: type = dict,
        rows: int = 6,
        none_if_empty: bool = False,
        **kwargs: Any,
    ) -> None:
        self.expected = expected
        self.none_if_empty = none_if_empty
        attrs = {"rows": rows, "class": "hub-code", "spellcheck": "false"}
        kwargs.setdefault("widget", UnfoldAdminTextareaWidget(attrs=attrs))
        super().__init__(strip=False, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, str):
            return value
        if value is None and self.none_if_empty:
            return ""
        shown = self.expected() if value is None else value
        return json.dumps(shown, indent=2, ensure_ascii=False)

    def to_python(self, value: Any) -> Any:
        text = value if isinstance(value, str) and value.strip() else None
        if text is None:
            return None if self.none_if_empty else self.expected()
        try:
            parsed = strict.parse(text)
        except strict.JSONRefused as error:
            raise ValidationError(f"Not JSON: {error}") from None
        if not isinstance(parsed, self.expected):
            word = "an object {...}" if self.expected is dict else "a list [...]"
            raise ValidationError(f"Must be {word}.")
        return parsed

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return not json_equal(initial or self.expected(), self.to_python(data))
        except ValidationError:
            return True


def description_field(*, rows: int) -> forms.CharField:
    """Return the field of a description, which may stay empty."""
    widget = UnfoldAdminTextareaWidget(attrs={"rows": rows})
    return forms.CharField(required=False, max_length=5000, widget=widget)


class ApiKeyForm(forms.ModelForm):
    """What a key may do and from where; the secret is made, never typed."""

    scopes = forms.MultipleChoiceField(
        required=False,
        choices=[(scope, f"{scope} — {words}") for scope, words in SCOPES.items()],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="Instead of the role's scopes. None checked: what the role may do.",
    )
    networks = WordsField(
        required=False,
        help_text="Where calls may come from, such as 10.0.0.0/8, separated by commas."
        " Empty: anywhere.",
    )

    service_names = WordsField(
        required=False,
        help_text="Services that it may register and change, such as billing-*, separated by"
        " commas. Empty: its own, and names that are free.",
    )
    service_types = WordsField(
        required=False,
        help_text="Types that it may register services under, such as PLANNING_SYSTEM or *."
        " Empty: as REGISTRATION_POLICY says.",
    )

    class Meta:
        model = ApiKey
        fields = ("name", "role", "scopes", "networks", "requests_per_minute", "expires_at")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "role" in self.fields:
            choices = [(role.value, f"{role.label} — {ROLE_WORDS[role]}") for role in Role]
            self.fields["role"].choices = choices  # type: ignore[attr-defined]

    def clean_expires_at(self) -> Any:
        expires_at = self.cleaned_data["expires_at"]
        if "expires_at" in self.changed_data:
            try:
                check_end(expires_at)
            except ValidationFailed as error:
                raise ValidationError(error.errors["expires_at"][0]) from None
        return expires_at
