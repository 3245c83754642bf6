"""Form fields for lists and JSON, and the forms that use them."""

from __future__ import annotations

import json
import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from registry import strict_json
from registry.access import ROLE_WORDS, SCOPES, Role
from registry.api_keys import check_end
from registry.exceptions import ValidationFailed
from registry.json_equality import json_equal
from registry.liveness import Liveness
from registry.models import ApiKey, Service, ServiceAction, ServiceInstance
from registry.services import check_new_instance


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
    """JSON text, refused with line and column where it is not taken; empty means `empty_value`."""

    widget = UnfoldAdminTextareaWidget

    def __init__(self, *, expected: type = dict, rows: int = 6, **kwargs: Any) -> None:
        self.expected = expected
        attrs = {"rows": rows, "class": "hub-code", "spellcheck": "false"}
        kwargs.setdefault("widget", UnfoldAdminTextareaWidget(attrs=attrs))
        super().__init__(strip=False, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, str):
            return value
        shown = self.expected() if value is None else value
        return json.dumps(shown, indent=2, ensure_ascii=False)

    def to_python(self, value: Any) -> Any:
        text = value if isinstance(value, str) and value.strip() else None
        if text is None:
            return self.expected()
        try:
            parsed = strict_json.parse(text)
        except strict_json.JSONRefused as error:
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


class ServiceForm(forms.ModelForm):
    """A service as a person prepares or corrects it."""

    description = forms.CharField(
        required=False, max_length=5000, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3})
    )
    tags = WordsField(required=False, help_text="Words, separated by commas.")
    metadata = StrictJSONField(required=False, help_text="A JSON object.")
    breaker = StrictJSONField(
        required=False,
        rows=3,
        help_text="What its circuit breakers do otherwise than its criticality says, such as"
        ' {"failure_threshold": 10, "recovery_seconds": 15}.',
    )
    limits = StrictJSONField(
        required=False,
        rows=3,
        help_text="How it is called at most, by all workers together, such as"
        ' {"per_second": 5, "burst": 10, "max_concurrency": 4}.',
    )
    probing = StrictJSONField(
        required=False,
        rows=3,
        help_text="How its health URLs are asked otherwise than the settings say, such as"
        ' {"failure_threshold": 5, "interval_seconds": 10}.',
    )

    # A page that does not have it leaves it.
    liveness = forms.ChoiceField(
        required=False,
        choices=Liveness.choices,
        widget=UnfoldAdminSelectWidget,
        help_text="What keeps its instances alive.",
    )

    def clean_liveness(self) -> str:
        return self.cleaned_data["liveness"] or self.instance.liveness

    class Meta:
        model = Service
        fields = (
            "name", "type", "criticality", "credential", "description", "version", "owner", "tags",
            "liveness",
        )  # fmt: skip


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

    class Meta:
        model = ApiKey
        fields = ("name", "role", "scopes", "networks", "expires_at")

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


class InstanceForm(forms.ModelForm):
    """An instance; its service and URL are what it is, and stay."""

    metadata = StrictJSONField(required=False, help_text="A JSON object.")

    class Meta:
        model = ServiceInstance
        fields = ("service", "url", "health_url", "version", "zone", "weight", "ttl_seconds")

    def clean(self) -> Any:
        """Refuse here what `add_instance` would refuse."""
        super().clean()
        given = {name: self.cleaned_data.get(name) for name in ("url", "health_url")}
        if self.instance._state.adding and not self.errors:
            try:
                check_new_instance(given)
            except ValidationFailed as error:
                for name, sentences in error.errors.items():
                    self.add_error(name, list(sentences))
        return self.cleaned_data


class ActionForm(forms.ModelForm):
    """An action with its JSON Schemas."""

    input_schema = StrictJSONField(
        required=False, rows=12, help_text="JSON Schema of what it takes; empty: anything."
    )
    output_schema = StrictJSONField(
        required=False, rows=12, help_text="JSON Schema of what it answers; empty: anything."
    )

    class Meta:
        model = ServiceAction
        fields = (
            "service", "name", "description", "method", "path", "timeout_seconds",
            "unknown_fields",
        )  # fmt: skip
