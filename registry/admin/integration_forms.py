"""The form of an integration, and that of the panel that tries it."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied, ValidationError
from unfold.widgets import UnfoldAdminTextInputWidget

from core.admin.forms import StrictJSONField, description_field
from core.exceptions import ValidationFailed
from core.json.equality import json_equal
from registry.integrations import lifecycle
from registry.models import Integration, IntegrationStatus, TargetKind

# Which fields show with which kind of target.
_OF_SERVICE = "target_kind == 'SERVICE' || target_kind == 'SERVICE_TYPE'"
_OF_CONNECTION = "target_kind == 'CONNECTION'"
SHOWN_WHEN = {
    "target": _OF_SERVICE,
    "action": _OF_SERVICE,
    "connection": _OF_CONNECTION,
    "method": _OF_CONNECTION,
    "path": _OF_CONNECTION,
}
# Where the form shows what is wrong with a part of the target.
_FIELD_OF = {
    "target": "target_kind",
    "target.service": "target",
    "target.service_type": "target",
    "target.action": "action",
    "target.connection": "connection",
    "target.method": "method",
    "target.path": "path",
}


class MappingFormField(StrictJSONField):
    """A template: an object, a list, or one expression as it is; empty for none."""

    def prepare_value(self, value: Any) -> Any:
        if value is None or isinstance(value, str):
            return value or ""
        return json.dumps(value, indent=2, ensure_ascii=False)

    def to_python(self, value: Any) -> Any:
        text = str(value or "").strip()
        if not text:
            return None
        if text.startswith("$."):
            return text
        self.expected = list if text.startswith("[") else dict
        return super().to_python(text)

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return not json_equal(initial, self.to_python(data))
        except ValidationError:
            return True


def code_input(**attrs: Any) -> UnfoldAdminTextInputWidget:
    """Return the widget of a line for an expression or a path."""
    return UnfoldAdminTextInputWidget(attrs={"class": "hub-mono", "autocomplete": "off", **attrs})


class IntegrationForm(forms.ModelForm):
    """An integration, held against the same rules as over the API."""

    # Whether this person may use credentials; the admin says so for each request.
    may_use_credentials = False

    description = description_field(rows=2)
    path = forms.CharField(
        required=False,
        max_length=500,
        widget=code_input(),
        help_text="Below the address of the connection; {id} is filled from the request.",
    )
    request_mapping = MappingFormField(
        required=False,
        rows=8,
        help_text='Such as {"name": "$.input.title"}. Reads input, context and execution.'
        " Empty: the payload as it came.",
    )
    response_mapping = MappingFormField(
        required=False,
        rows=6,
        help_text="Such as $.output.project. Reads output as well. Empty: the answer as it came.",
    )
    config = StrictJSONField(
        required=False,
        rows=3,
        help_text='Such as {"timeout_seconds": 10, "error_after": 5}.',
    )

    metadata = StrictJSONField(required=False, rows=3, help_text="Whatever you keep with it.")

    class Meta:
        model = Integration
        fields = (
            "name", "type", "status", "description", "source", "target_kind", "target", "action",
            "connection", "method", "path", "request_mapping", "response_mapping",
            "unknown_fields", "config", "metadata",
        )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        status = self.fields.get("status")
        if status is not None:
            # ERROR is what the hub says of an ACTIVE one.
            words = [(v, w) for v, w in IntegrationStatus.choices if v != IntegrationStatus.ERROR]
            status.choices = words  # type: ignore[attr-defined]
            if self.initial.get("status") == IntegrationStatus.ERROR:
                self.initial["status"] = IntegrationStatus.ACTIVE

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        try:
            lifecycle.check_integration(
                self.instance, self.service_fields(), may_use_credentials=self.may_use_credentials
            )
        except ValidationFailed as error:
            for path, sentences in error.errors.items():
                self._refuse(path, sentences)
        except PermissionDenied as error:
            self.add_error("connection", str(error))
        return cleaned

    def _refuse(self, path: str, sentences: list[str]) -> None:
        name = _FIELD_OF.get(path) or path.partition(".")[0].partition("[")[0]
        rest = path.removeprefix(name).lstrip(".")
        if rest and name not in _FIELD_OF.values():
            sentences = [f"{rest}: {s}" for s in sentences]
        self.add_error(name if name in self.fields else None, sentences)

    def service_fields(self) -> dict[str, Any]:
        """Return the fields of the form as the services take them."""
        cleaned = self.cleaned_data
        of_target = ("target_kind", "target", "action", "connection", "method", "path")
        fields = {name: value for name, value in cleaned.items() if name not in of_target}
        if "status" not in self.changed_data and not self.instance._state.adding:
            fields.pop("status", None)
        if "target_kind" in cleaned:
            fields["target"] = _target_of(cleaned)
        return fields


def _target_of(fields: dict[str, Any]) -> dict[str, Any]:
    if fields["target_kind"] == TargetKind.CONNECTION:
        connection = fields.get("connection")
        return {
            "connection": str(connection.pk) if connection else None,
            "method": fields.get("method"),
            "path": fields.get("path"),
        }
    return {
        TargetKind(fields["target_kind"]).lower(): fields.get("target"),
        "action": fields["action"],
    }


class TryForm(forms.Form):
    """The input and context that an integration is tried with."""

    payload = StrictJSONField(label="Payload", required=False, rows=8, help_text="A JSON object.")
    context = StrictJSONField(label="Context", required=False, rows=3)
