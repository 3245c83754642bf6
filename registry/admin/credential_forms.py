"""Forms for credentials: secrets are typed in and never rendered back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.views.decorators.debug import sensitive_variables
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from core.admin.forms import WordsField
from core.exceptions import IntegrationError, ValidationFailed
from core.json.merge_patch import MergePatch
from core.vault import Secret
from registry.admin.form_fields import part_field, text_area
from registry.admin.typed_form import TypedForm
from registry.credentials.lifecycle import check_fields, check_secret_given
from registry.credentials.type_specs import TYPE_SPECS
from registry.models import Credential, CredentialType
from registry.policies.type_parts import Part

_SECRET_ATTRS = {"autocomplete": "new-password", "spellcheck": "false"}
_LONG_ROWS = 6
HEADERS = "headers"


class SecretFormField(forms.CharField):
    """A secret that is typed in: cleaned into a Secret, and shown by no rendering of the form."""

    def __init__(self, *, long: bool = False, **kwargs: Any) -> None:
        widget = (
            text_area(_LONG_ROWS, autocomplete="off")
            if long
            else UnfoldAdminPasswordWidget(attrs=_SECRET_ATTRS)
        )
        super().__init__(required=False, strip=False, widget=widget, **kwargs)

    def prepare_value(self, value: Any) -> str:
        return ""

    def clean(self, value: Any) -> Any:
        return Secret(value) if isinstance(value, str) and value else None

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(data)


def field_name(type: str, section: str, part: str) -> str:
    """Return the name of the form field of a part: `basic_auth__secret__password`."""
    return f"{type.lower()}__{section}__{part}"


def _attribute_field(part: Part) -> forms.Field:
    initial = part.default if isinstance(part.default, str) else None
    return part_field(part, rows=_LONG_ROWS, initial=initial)


def _secret_field(part: Part) -> forms.Field:
    return SecretFormField(label=part.label, long=part.long, help_text=part.help)


def fields_of(type: str) -> dict[str, forms.Field]:
    """Return the form fields of a type: its attributes, then its secret parts."""
    kind = TYPE_SPECS[type]
    fields = {
        field_name(type, "attributes", part.name): _attribute_field(part)
        for part in kind.attributes
    }
    fields |= {field_name(type, "secret", part.name): _secret_field(part) for part in kind.secrets}
    if kind.headers:
        fields[field_name(type, "secret", HEADERS)] = SecretFormField(
            label="Headers", long=True, help_text="One each line: X-Tenant-Token: value"
        )
    return fields


class _PartsForm(forms.Form):
    """Reads the fields of one type into what the services take, and their errors back."""

    def read_attributes(self, type: str) -> dict[str, Any]:
        attributes = {}
        for part in TYPE_SPECS[type].attributes:
            name = field_name(type, "attributes", part.name)
            if name in self.fields:
                attributes[part.name] = self.cleaned_data.get(name) or None
        return attributes

    @sensitive_variables()
    def read_secret(self, type: str) -> dict[str, Secret]:
        """Return the parts that were typed in; empty when none was."""
        kind = TYPE_SPECS[type]
        if kind.headers:
            return self._read_headers(field_name(type, "secret", HEADERS))
        names = {part.name: field_name(type, "secret", part.name) for part in kind.secrets}
        values = {part: self.cleaned_data.get(name) for part, name in names.items()}
        return {part: value for part, value in values.items() if value}

    @sensitive_variables()
    def _read_headers(self, name: str) -> dict[str, Secret]:
        text = self.cleaned_data.get(name)
        lines = [line for line in text.reveal().splitlines() if line.strip()] if text else []
        headers: dict[str, Secret] = {}
        for number, line in enumerate(lines, 1):
            header, colon, value = line.partition(":")
            if not colon or header.strip() in headers:
                self.add_error(name, f"Line {number} must be a header of its own: Name: value")
                return {}
            headers[header.strip()] = Secret(value.strip())
        return headers

    def check(self, credential: Credential, type: str, fields: Mapping[str, Any]) -> None:
        """Hold what was read against the rules, and put each error to its field."""
        try:
            check_fields(credential, fields)
        except ValidationFailed as error:
            for path, sentences in error.errors.items():
                self._add(type, path, list(sentences))
        except IntegrationError as error:
            self.add_error(self.first_secret(), error.message)

    def first_secret(self) -> str | None:
        """Return the field for errors of no field: dialogs show none but at fields."""
        return next((name for name in self.fields if "__secret__" in name), None)

    def _add(self, type: str, path: str, sentences: list[str]) -> None:
        section, _, part = path.partition(".")
        name = field_name(type, section, part)
        if section == "secret" and name not in self.fields:
            names = [n for n in self.fields if n.startswith(field_name(type, "secret", ""))]
            name = names[0] if names else ""
            sentences = [f"{part}: {s}" if part else s for s in sentences]
        if name not in self.fields:
            name = re.sub(r"\[\d+\]$", "", path)
        self.add_error(name if name in self.fields else self.first_secret(), sentences)


class BaseCredentialForm(_PartsForm, TypedForm):
    """A credential as a person makes or changes it."""

    allowed_origins = WordsField(
        required=False,
        help_text="Where it may be sent, such as https://api.example.org, separated by commas."
        " It is sent nowhere else.",
    )
    draft = forms.BooleanField(
        required=False,
        label="Draft",
        help_text="Store it without its secret for now: it can be linked, and calls that are to"
        " carry it are refused until the secret is set.",
        widget=UnfoldBooleanSwitchWidget,
    )

    class Meta:
        model = Credential
        fields = ("name", "type", "description", "expires_at")
        help_texts = {"expires_at": "In UTC. Empty: it does not."}

    def show(self, row: Credential) -> None:
        del self.fields["draft"]
        own = fields_of(row.type)
        for name in [n for n in self.fields if "__" in n and n not in own]:
            del self.fields[name]
        self.initial["allowed_origins"] = row.allowed_origins
        for part, value in row.attributes.items():
            shown = " ".join(value) if isinstance(value, list) else value
            self.initial[field_name(row.type, "attributes", part)] = shown

    @sensitive_variables()
    def read(self, type: str) -> None:
        secret = self.read_secret(type)
        self.service_fields = {
            **{name: self.cleaned_data.get(name) for name in ("name", "description", "expires_at")},
            "attributes": MergePatch(self.read_attributes(type)),
            "allowed_origins": self.cleaned_data.get("allowed_origins") or [],
        }
        if secret:
            self.service_fields["secret"] = secret
        elif not self.is_change and not self.errors:
            self.service_fields["draft"] = self.cleaned_data.get("draft")
            self._check_draft(type)
        row = self.instance if self.is_change else Credential(type=type)
        if not self.errors:
            self.check(row, type, self.service_fields)

    def _check_draft(self, type: str) -> None:
        """Put a missing secret to the first field that it is typed into."""
        try:
            check_secret_given({"type": type, **self.service_fields})
        except ValidationFailed as error:
            own = [name for name in fields_of(type) if "__secret__" in name]
            self.add_error(own[0], list(error.errors["secret"]))


_ALL_FIELDS = {n: f for type in CredentialType.values for n, f in fields_of(type).items()}
CredentialForm = type("CredentialForm", (BaseCredentialForm,), _ALL_FIELDS)
SHOWN_WHEN = {
    name: f"type == '{kind}'" for kind in CredentialType.values for name in fields_of(kind)
}


class RotateForm(_PartsForm, BaseDialogForm):
    """A new secret for one credential, by its type."""

    expires_at = forms.DateTimeField(
        required=False,
        label="Expires",
        help_text="When the new secret ends, in UTC. Empty: it does not.",
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.service_fields: dict[str, Any] = {}
        self.credential = Credential.objects.filter(pk=self.object_id).first()
        if self.credential is None:
            return
        ends_itself = self.credential.type == CredentialType.CLIENT_CERTIFICATE
        for name, field in fields_of(self.credential.type).items():
            if "__secret__" in name or (ends_itself and name.endswith("__certificate")):
                self.fields[name] = field
        if ends_itself:
            del self.fields["expires_at"]
            name = field_name(self.credential.type, "attributes", "certificate")
            self.fields[name].help_text = "Empty: the certificate stays, and the key is the same."
        else:
            self.fields["expires_at"] = self.fields.pop("expires_at")

    @sensitive_variables()
    def clean(self) -> Any:
        data = super().clean()
        if self.credential is None:
            raise ValidationError("This credential was removed meanwhile.")
        type = self.credential.type
        secret = self.read_secret(type)
        if self.errors:
            return data
        if not secret:
            self.add_error(self.first_secret(), "Type the new secret in.")
            return data
        typed = {k: v for k, v in self.read_attributes(type).items() if v is not None}
        self.service_fields = {"secret": secret, "attributes": MergePatch(typed)}
        if "expires_at" in self.fields:
            self.service_fields["expires_at"] = self.cleaned_data.get("expires_at")
        self.check(self.credential, type, self.service_fields)
        return data
