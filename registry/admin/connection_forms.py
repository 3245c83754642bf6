"""Forms for connections: one field for each setting, shown for the types that have it."""

from __future__ import annotations

import copy
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldBooleanSwitchWidget

from core.admin.forms import StrictJSONField
from core.exceptions import ValidationFailed
from registry.admin.form_fields import breaker_field, limits_field, part_field
from registry.admin.typed_form import TypedForm
from registry.connections.lifecycle import check_fields
from registry.connections.type_specs import ADDRESS_FIELDS, PLAIN_FIELDS, TYPE_SPECS, parts_of
from registry.models import Connection, ConnectionDriver
from registry.policies.type_parts import Part

_JSON = ("headers", "test_body")
_SWITCHES = ("tls",)
PREFIX = "config__"


def setting_name(part: str) -> str:
    """Return the name of the form field of a setting: `config__timeout_seconds`."""
    return f"{PREFIX}{part}"


def _types_with(part: str) -> list[str]:
    return [
        type for type, kind in TYPE_SPECS.items() if any(each.name == part for each in kind.parts)
    ]


def _widest() -> dict[str, Part]:
    """Return each setting once, as it is where it has the most choices."""
    widest: dict[str, Part] = {}
    for kind in TYPE_SPECS.values():
        for part in kind.parts:
            other = widest.get(part.name)
            if other is None or len(part.choices) > len(other.choices):
                widest[part.name] = part
    return widest


def _field_of(part: Part) -> forms.Field:
    about: Any = {"label": part.label, "required": False, "help_text": part.help}
    if part.name in _SWITCHES:
        return forms.BooleanField(**about, widget=UnfoldBooleanSwitchWidget)
    if part.name in _JSON:
        return StrictJSONField(**about, rows=4)
    return part_field(part, rows=5, empty_choices=[("", "As usual")])


def _shown_when(types: list[str]) -> str:
    return " || ".join(f"type == '{type}'" for type in types)


PARTS = _widest()
SETTINGS = {setting_name(name): _field_of(part) for name, part in PARTS.items()}
_WITH_DRIVER = [type for type, kind in TYPE_SPECS.items() if len(kind.drivers) > 1]
SHOWN_WHEN = {
    **{setting_name(name): _shown_when(_types_with(name)) for name in PARTS},
    **{
        column: _shown_when([t for t, kind in TYPE_SPECS.items() if column in kind.columns])
        for column in ADDRESS_FIELDS
    },
    "driver": _shown_when(_WITH_DRIVER),
}


def fields_of(type: str, driver: str) -> list[str]:
    """Return the form fields of a stored connection: its address, then its settings."""
    settings = [setting_name(part.name) for part in parts_of(type, driver)]
    return [*TYPE_SPECS[type].columns, *settings]


class BaseConnectionForm(TypedForm):
    """A connection as a person makes or changes it."""

    driver = forms.ChoiceField(
        required=False,
        choices=[
            ("", "The usual one"),
            *(choice for choice in ConnectionDriver.choices if choice[0] != "HTTP"),
        ],
        widget=UnfoldAdminSelectWidget,
        help_text="PostgreSQL for a database and AMQP for a broker unless told otherwise.",
    )
    breaker = breaker_field("circuit breaker does")
    limits = limits_field()

    class Meta:
        model = Connection
        fields = (
            "name", "type", "description", *ADDRESS_FIELDS, "credential", "criticality",
            "check_interval_seconds",
        )  # fmt: skip
        labels = {
            "base_url": "Base URL",
            "username": "User name",
            "check_interval_seconds": "Tested every",
        }
        help_texts = {
            "port": "Empty: the usual one.",
            "database": "Of Redis: a number.",
            "username": "Not with a credential that has one.",
            "check_interval_seconds": "Seconds; 0 tests it on demand only.",
        }

    def show(self, row: Connection) -> None:
        own = fields_of(row.type, row.driver)
        for name in [n for n in self.fields if n.startswith(PREFIX) or n in ADDRESS_FIELDS]:
            if name not in own:
                del self.fields[name]
        self.fields.pop("driver", None)
        self.initial.update(breaker=row.breaker, limits=row.limits)
        for part, value in row.config.items():
            self.initial[setting_name(part)] = _shown(part, value)

    def read(self, type: str) -> None:
        driver = self.instance.driver if self.is_change else self.cleaned_data.get("driver") or ""
        self.service_fields = self._read(type, driver)
        draft = copy.copy(self.instance) if self.is_change else Connection(type=type)
        try:
            check_fields(draft, self.service_fields)
        except ValidationFailed as error:
            for path, sentences in error.errors.items():
                self._add(path, list(sentences))

    def _read(self, type: str, driver: str) -> dict[str, Any]:
        fields: dict[str, Any] = {name: self.cleaned_data.get(name) for name in PLAIN_FIELDS}
        fields |= {name: self.cleaned_data.get(name) for name in TYPE_SPECS[type].columns}
        fields["config"] = self._read_config(type, driver)
        if not self.is_change:
            fields |= {"type": type, "driver": driver if type in _WITH_DRIVER else ""}
        if "credential" in self.fields:
            credential = self.cleaned_data.get("credential")
            fields["credential"] = str(credential.pk) if credential else ""
        return fields

    def _read_config(self, type: str, driver: str) -> dict[str, Any]:
        config = {}
        for part in parts_of(type, driver or TYPE_SPECS[type].drivers[0]):
            value = self.cleaned_data.get(setting_name(part.name))
            if value is not False and value not in (None, "", {}):
                config[part.name] = value
        return config

    def _add(self, path: str, sentences: list[str]) -> None:
        section, _, part = path.partition(".")
        name = setting_name(part) if section == "config" else section
        self.add_error(name if name in self.fields else None, sentences)


def _shown(part: str, value: Any) -> Any:
    """Return a setting as its field takes it."""
    if part in _JSON or part in _SWITCHES:
        return value
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else value


ConnectionForm: Any = type("ConnectionForm", (BaseConnectionForm,), dict(SETTINGS))
