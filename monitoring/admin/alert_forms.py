"""The form of an alert channel: its parts by type, secrets typed in and never rendered back."""

from __future__ import annotations

import copy
from typing import Any

from django import forms
from django.views.decorators.debug import sensitive_variables
from unfold.widgets import UnfoldAdminSelectMultipleWidget, UnfoldAdminTextareaWidget

from core.admin.forms import WordsField
from core.exceptions import IntegrationError, ValidationFailed
from core.json.merge_patch import MergePatch
from monitoring.alerts.channel_types import TYPE_SPECS
from monitoring.alerts.channels import PLAIN, check_channel_fields
from monitoring.models import AlertChannel, ChannelType, Subject
from registry.admin.credential_forms import SecretFormField, field_name
from registry.admin.form_fields import part_field
from registry.admin.typed_form import TypedForm

_TIMES = ("group_wait_seconds", "group_interval_seconds", "repeat_seconds", "per_minute")


def fields_of(type: str) -> dict[str, forms.Field]:
    """Return the form fields of a type: its settings, then its secret parts."""
    spec = TYPE_SPECS[type]
    fields: dict[str, forms.Field] = {
        field_name(type, "config", part.name): part_field(part, rows=2, initial=part.default)
        for part in spec.parts
    }
    return fields | {
        field_name(type, "secret", part.name): SecretFormField(
            label=part.label, help_text=part.help
        )
        for part in spec.secrets
    }


def kinds_field() -> forms.MultipleChoiceField:
    """Return the field of the kinds of incidents that are let through."""
    return forms.MultipleChoiceField(
        label="Only these kinds",
        required=False,
        choices=Subject.choices,
        widget=UnfoldAdminSelectMultipleWidget,
        help_text="None chosen: incidents of all kinds.",
    )


def services_field() -> WordsField:
    """Return the field of the names of services whose incidents are let through."""
    return WordsField(
        label="Only these services",
        required=False,
        help_text="Names such as pay-*, separated by commas. Empty: all, and the hub itself.",
    )


def tags_field() -> WordsField:
    """Return the field of the tags of services whose incidents are let through."""
    return WordsField(
        label="Only with these tags",
        required=False,
        help_text="Services with one of them. Empty: all, and the hub itself.",
    )


class BaseChannelForm(TypedForm):
    """A channel as a person makes or changes it."""

    subjects = kinds_field()
    services = services_field()
    tags = tags_field()

    quiet_hours = forms.CharField(
        label="Hours",
        required=False,
        max_length=2000,
        widget=UnfoldAdminTextareaWidget(
            attrs={"rows": 2, "placeholder": "22:00-07:00\n00:00-24:00 SAT,SUN"}
        ),
        help_text="One in each line: from, to, and the days on which they begin, if not on all."
        " What was then is told in one message after.",
    )

    class Meta:
        model = AlertChannel
        fields = (
            "name", "type", "enabled", "description", "min_severity", "only_escalated",
            "send_resolved", *_TIMES,
            "quiet_timezone", "quiet_min_severity",
        )  # fmt: skip
        labels = {
            "min_severity": "From this severity on",
            "only_escalated": "Only what is escalated",
            "send_resolved": "Tell the end too",
            "group_wait_seconds": "First message after",
            "group_interval_seconds": "Next on the same after",
            "repeat_seconds": "Repeat after",
            "per_minute": "Most a minute",
            "quiet_timezone": "Time zone",
            "quiet_min_severity": "Told all the same",
        }
        help_texts = {
            "group_wait_seconds": "Seconds. What ends before is not told.",
            "group_interval_seconds": "Seconds.",
            "quiet_timezone": "On whose clock, such as Europe/Berlin.",
            "quiet_min_severity": "From this severity on. Empty: nothing.",
            "repeat_seconds": "Seconds, while nobody sees to it. 0: never.",
        }

    def show(self, row: AlertChannel) -> None:
        own = fields_of(row.type)
        for name in [n for n in self.fields if "__" in n and n not in own]:
            del self.fields[name]
        self.initial.update(
            subjects=row.subjects,
            services=row.services,
            tags=row.tags,
            quiet_hours="\n".join(row.quiet_hours),
        )
        for part, value in row.config.items():
            shown = ", ".join(value) if isinstance(value, list) else value
            self.initial[field_name(row.type, "config", part)] = shown

    @sensitive_variables()
    def read(self, type: str) -> None:
        fields = {name: self.cleaned_data[name] for name in PLAIN if name in self.cleaned_data}
        fields["subjects"] = self.cleaned_data["subjects"]
        lines = self.cleaned_data.get("quiet_hours", "").splitlines()
        fields["quiet_hours"] = [line for line in map(str.strip, lines) if line]
        fields["config"] = MergePatch(self._read(type, "config"))
        secret = {part: value for part, value in self._read(type, "secret").items() if value}
        if secret:
            fields["secret"] = secret
        self.service_fields = fields if self.is_change else {**fields, "type": type}
        row = self.instance if self.is_change else AlertChannel(type=type)
        try:
            check_channel_fields(copy.copy(row), self.service_fields)
        except ValidationFailed as error:
            for path, sentences in error.errors.items():
                self._add(type, path, list(sentences))
        except IntegrationError as error:
            self.add_error(None, error.message)

    def _read(self, type: str, section: str) -> dict[str, Any]:
        spec = TYPE_SPECS[type]
        parts = spec.parts if section == "config" else spec.secrets
        names = {part.name: field_name(type, section, part.name) for part in parts}
        return {part: self.cleaned_data.get(name) or None for part, name in names.items()}

    def _add(self, type: str, path: str, sentences: list[str]) -> None:
        section, _, part = path.partition(".")
        name = field_name(type, section, part) if part else section.partition("[")[0]
        self.add_error(name if name in self.fields else None, sentences)


_ALL_FIELDS = {n: f for type in ChannelType.values for n, f in fields_of(type).items()}
ChannelForm: Any = type("ChannelForm", (BaseChannelForm,), _ALL_FIELDS)
SHOWN_WHEN = {name: f"type == '{kind}'" for kind in ChannelType.values for name in fields_of(kind)}
